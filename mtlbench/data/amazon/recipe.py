"""Amazon reviews: how many stars, will it help others, and did the reviewer buy it there?

McAuley et al., SIGIR 2015 and He and McAuley, WWW 2016 (the release of 2014); Ni et al., EMNLP 2019 (2018);
Hou et al., 2024 (2023). Sources, terms, quirks, the split and its reason: datasets/amazon/card.toml
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
from mtlbench.data.times import periods
from mtlbench.errors import DataError, UsageError, unknown
from mtlbench.schema import Schema, Task

REVISION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AmazonSettings:
    """Settings that the user may choose.

    Attributes:
        categories: categories as in the file names (Gift_Cards,All_Beauty); if empty, those of the given
        files,
            or for a download, the small ones that the card names.
        version: the release to download; that of given files is recognised by their content.
        tasks: tasks to prepare; if empty, all that the files have labels for.
        split: by dates with 80, 10 and 10 % of the reviews, or at the times of the release of 2023.
    """

    categories: Names = ()
    version: Literal["2014", "2018", "2023"] = "2023"
    tasks: Names = ()
    split: Literal["dates", "official"] = "dates"


class Amazon(Published):
    """Recipe of `amazon`: four tasks on every review."""

    Settings = AmazonSettings
    revision = REVISION

    def files(self, card: Card, settings: AmazonSettings) -> tuple[RemoteFile, ...]:
        """Return the files of reviews and metadata of the chosen categories and release."""
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
        """Return name patterns, including the names under which the files are published."""
        return [
            tuple(
                pattern for name in (file.file, *map(_last_part, file.addresses)) for pattern in names(name)
            )
            for file in self.files(card, settings)
        ]

    def build(self, raw: Raw, settings: AmazonSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Read, clean, describe, split and write the reviews."""
        reviews = self.labelled(read(raw.files, settings.categories, settings.split, work, says))
        tasks = _learnable(self.tasks(reviews), reviews, settings.tasks, says)
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
            periods=periods(reviews.cuts),
        )

    def tasks(self, reviews: Reviews) -> list[Task]:
        """Return the tasks that the files have; `rating` is optional, since `liked` is a function of it."""
        return [
            Task(name="rating", kind="regression", optional=True),
            Task(name="liked"),
            *[Task(name="helpful")] * reviews.votes,
            *[Task(name="verified")] * reviews.verified,
        ]

    def labelled(self, reviews: Reviews) -> Reviews:
        """Return the reviews with a column for each task."""
        return reviews


class AmazonCategories(Amazon):
    """Recipe of `amazon-categories`: one task per category, `liked`, defined on that category's reviews."""

    raw_of = "amazon"

    def tasks(self, reviews: Reviews) -> list[Task]:
        """Return one task per category.

        Raises:
            UsageError: there is only one category.
        """
        if len(reviews.categories) < 2:
            raise UsageError(
                "A task a category takes two categories or more; the files are of "
                f"{reviews.categories[0]} alone. Give more, or prepare the dataset amazon."
            )
        return [Task(name=task_name(category)) for category in reviews.categories]

    def labelled(self, reviews: Reviews) -> Reviews:
        """Add a column per category that holds `liked` on the category's rows and null on others.

        Raises:
            DataError: a category's name cannot be that of a task.
        """
        named = {category: task_name(category) for category in reviews.categories}
        taken = reviews.rows.collect_schema().names()
        for category, name in named.items():
            if not name or name in taken or list(named.values()).count(name) > 1:
                raise DataError(
                    f"Category {category!r} cannot name a task: {name!r} is empty, a column, or another "
                    "category's too. Rename its file."
                )
        of_category = {
            name: pl.when(pl.col("category") == category).then("liked") for category, name in named.items()
        }
        return replace(reviews, rows=reviews.rows.with_columns(**of_category))


def task_name(category: str) -> str:
    """Turn a category into a task name, such as Gift_Cards into gift_cards."""
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


def _last_part(address: str) -> str:
    return address.rsplit("/", 1)[-1]


def _learnable(
    tasks: Sequence[Task], reviews: Reviews, chosen: Sequence[str], says: Reporting
) -> tuple[Task, ...]:
    """Return the tasks that can be learnt; report why others are left out.

    The choice depends on train's labels and on where labels exist, not on their values after train.

    Raises:
        UsageError: a chosen task does not exist.
        DataError: no task is left, or a remaining one cannot be judged.
    """
    for name in chosen:
        if name not in (known := [t.name for t in tasks]):
            raise unknown("task", name, known)
    wanted = {t.name: t for t in tasks if not chosen or t.name in chosen}
    looks = [pl.col(name).drop_nulls().n_unique() for name in wanted]
    parts = {s: part.select(looks).collect(engine="streaming") for s, part in reviews.splits().items()}
    learnt, judged = [], []
    for name, task in wanted.items():
        values = {split: int(part[name].item()) for split, part in parts.items()}
        nowhere = [split for split, count in values.items() if count == 0]
        if nowhere:
            says.report(f"Task {name} is defined on no row of {', '.join(nowhere)}: left out.")
        elif values["train"] == 1:
            says.report(f"Task {name} has one value only on train: left out.")
        else:
            learnt.append(task)
            judged += [name] * (min(values.values()) > 1)
    if not judged:
        raise DataError(f"No task can be learnt and judged on so few reviews. Give more: {says.command}")
    if len(judged) < len(learnt):
        others = ", ".join(t.name for t in learnt if t.name not in judged)
        raise DataError(
            f"All rows of validation, or of test, have one value of {others}: nothing can be judged. Give "
            f"more reviews, or prepare the other tasks alone: {says.command} --set tasks={','.join(judged)}"
        )
    return tuple(learnt)


RECIPE, CATEGORIES_RECIPE = Amazon(), AmazonCategories()
