"""Amazon reviews: how many stars, will it help others, and did the reviewer buy it there?

McAuley et al., SIGIR 2015 and He and McAuley, WWW 2016 (the release of 2014); Ni et al., EMNLP 2019 (2018);
Hou et al., 2024 (2023). Sources, terms, quirks, split and why: datasets/amazon/card.toml
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from mtlbench.data.amazon.build import Reviews, read
from mtlbench.data.amazon.features import absent
from mtlbench.data.card import Card, RemoteFile
from mtlbench.data.recipe import Built, Names, Raw, Reporting
from mtlbench.data.source import Published, names
from mtlbench.data.table import write_table
from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.schema import Schema, Task

REVISION = 1
RAW = "amazon"
"""The dataset in whose raw folder the files of both lie, so that nothing is downloaded twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmazonSettings:
    """What the user may choose.

    Attributes:
        categories: as the files are named (Gift_Cards,All_Beauty); none named means those of the files that
            were given, or to download, the small ones that the card names.
        version: the release to download; of files that were given it is told by their content.
        split: by dates with 80, 10 and 10 % of the reviews, or where the release of 2023 cuts.
    """

    categories: Names = ()
    version: Literal["2014", "2018", "2023"] = "2023"
    split: Literal["dates", "official"] = "dates"


class Amazon(Published):
    """The recipe of `amazon`: four tasks on every review."""

    Settings = AmazonSettings
    revision = REVISION

    def files(self, card: Card, settings: AmazonSettings) -> tuple[RemoteFile, ...]:
        """Reviews and metadata of the chosen categories and release."""
        assert card.source is not None
        for name in settings.categories:
            if not re.fullmatch(r"[A-Za-z][A-Za-z_-]*", name):
                raise UsageError(f"{name!r} is no category of Amazon's; they look like Gift_Cards.")
        return tuple(
            file.filled(category=category)
            for category in settings.categories or card.text["download"]["categories"]
            for file in card.source.files
            if f".{settings.version}." in file.file
        )

    def wanted(self, card: Card, settings: AmazonSettings) -> Sequence[Sequence[str]]:
        """Also the names that the files have where they are published."""
        return [
            tuple(
                pattern for name in (file.file, *map(_last_part, file.addresses)) for pattern in names(name)
            )
            for file in self.files(card, settings)
        ]

    def build(self, raw: Raw, settings: AmazonSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Read, clean, describe, split and write."""
        reviews = self.labelled(read(raw.files, settings.categories, settings.split, work, says))
        tasks = _with_both_classes(self.tasks(reviews), reviews, says)
        schema = Schema(fields=reviews.fields, tasks=tasks, cluster="user", time="time")
        return write_table(
            reviews.splits(),
            schema,
            work=work,
            out=out,
            says=says,
            quirks=reviews.quirks,
            notes={"malformed_lines": reviews.malformed, "cuts": list(reviews.cuts)},
            absent=absent(reviews.fields),
        )

    def tasks(self, reviews: Reviews) -> list[Task]:
        """`rating` is optional, since `liked` is a function of it; the others as the files have them."""
        return [
            Task(name="rating", kind="regression", optional=True),
            Task(name="liked"),
            *[Task(name="helpful")] * reviews.votes,
            *[Task(name="verified")] * reviews.verified,
        ]

    def labelled(self, reviews: Reviews) -> Reviews:
        """The rows with a column for each task."""
        return reviews


class AmazonCategories(Amazon):
    """The recipe of `amazon-categories`: a task a category, `liked`, defined on that category's reviews."""

    def find(
        self, home: Home, card: Card, settings: AmazonSettings, given: Sequence[Path]
    ) -> tuple[Path, ...]:
        """As `amazon`, and among its files."""
        return super().find(home, replace(card, name=RAW), settings, given)

    def fetch(self, home: Home, card: Card, settings: AmazonSettings, work: Path, says: Reporting) -> Raw:
        """Download into the raw folder of `amazon`."""
        return super().fetch(home, replace(card, name=RAW), settings, work, says)

    def tasks(self, reviews: Reviews) -> list[Task]:
        """One a category.

        Raises:
            UsageError: there is only one.
        """
        if len(reviews.categories) < 2:
            raise UsageError(
                "A task a category takes two categories or more; the files are of "
                f"{reviews.categories[0]} alone. Give more, or prepare the dataset amazon."
            )
        return [Task(name=task_name(category)) for category in reviews.categories]

    def labelled(self, reviews: Reviews) -> Reviews:
        """`liked` under the name of the row's category, null under the others'."""
        of_category = {
            task_name(category): pl.when(pl.col("category") == category).then("liked")
            for category in reviews.categories
        }
        return replace(reviews, rows=reviews.rows.with_columns(**of_category))


def task_name(category: str) -> str:
    """Gift_Cards as gift_cards."""
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


def _last_part(address: str) -> str:
    return address.rsplit("/", 1)[-1]


def _with_both_classes(tasks: Sequence[Task], reviews: Reviews, says: Reporting) -> tuple[Task, ...]:
    """The tasks that train can teach; a line says why another is left out."""
    train = reviews.splits()["train"]
    values = train.select(pl.col(t.name).n_unique() - pl.col(t.name).has_nulls() for t in tasks)
    counts = values.collect(engine="streaming").row(0, named=True)
    for name, count in counts.items():
        if count < 2:
            what = "is defined nowhere" if count == 0 else "has one value only"
            says.report(f"Task {name} {what} on train: left out.")
    return tuple(t for t in tasks if counts[t.name] >= 2)


RECIPE, CATEGORIES_RECIPE = Amazon(), AmazonCategories()
