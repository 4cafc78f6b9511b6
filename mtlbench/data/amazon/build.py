"""Reading review files and splitting them into train, validation and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from mtlbench.data.amazon.clean import clean
from mtlbench.data.amazon.describe import described
from mtlbench.data.amazon.features import fields
from mtlbench.data.amazon.kinds import Kind, category_of, kind_of
from mtlbench.data.amazon.metadata import items_of, read_metadata
from mtlbench.data.amazon.reviews import form_of, read_reviews
from mtlbench.data.archive import GZIP
from mtlbench.data.lines import Lines
from mtlbench.data.recipe import Reporting
from mtlbench.data.source import NOTES
from mtlbench.data.splits import cut_dates
from mtlbench.data.unpack import unpack
from mtlbench.errors import DataError
from mtlbench.load import SplitName
from mtlbench.schema import Field

OFFICIAL = (1628643414042, 1658002729837)
"""Start of validation and of test in the split of 2023, in milliseconds (its timestamp_split.py)."""


@dataclass(frozen=True, slots=True)
class Reviews:
    """Reviews with features and labels, ready to be split.

    Attributes:
        rows: by (time, user, item), one column for each field and for rating, liked, helpful, verified.
        cuts: the times at which validation and test start.
        fields: the fields that the files provide.
        categories: names, ascending.
        votes, verified: whether the files have them.
        quirks: counts of oddities.
        malformed: file -> numbers of its first ten malformed lines.
    """

    rows: pl.LazyFrame
    cuts: tuple[int, int]
    fields: tuple[Field, ...]
    categories: tuple[str, ...]
    votes: bool
    verified: bool
    quirks: dict[str, int]
    malformed: dict[str, list[int]]

    def splits(self) -> dict[SplitName, pl.LazyFrame]:
        """Return the rows of each split."""
        first, second = self.cuts
        time = pl.col("time")
        return {
            "train": self.rows.filter(time < first),
            "validation": self.rows.filter((time >= first) & (time < second)),
            "test": self.rows.filter(time >= second),
        }


def read(
    files: Sequence[Path],
    categories: Sequence[str],
    split: Literal["dates", "official"],
    work: Path,
    says: Reporting,
) -> Reviews:
    """Read, clean and describe the reviews in `files`.

    Args:
        files: reviews, ratings and metadata of one release, packed or not.
        categories: categories to take; empty for all.
        split: by quantiles of the dates, or at the times of the release of 2023.
        work: scratch folder.
        says: receives progress and messages.

    Raises:
        DataError: there are no reviews, mixed releases, damage, or nothing left.
    """
    kinds = _kinds(files, categories, work, says)
    version = next(iter(kinds.values())).version
    if split == "official" and version != "2023":
        raise DataError(
            f"The official split is of the release of 2023; these files are of {version}. Leave the setting "
            f"out: {says.command}"
        )
    reviews, metadata = _read_all(kinds, work, says)
    cleaned = clean([(category_of(file), found) for file, found in reviews.items()], work, says.command)
    _report(cleaned.quirks, says)
    items, quirks = items_of(list(metadata.values())) if metadata else (None, {})
    if items is not None:
        quirks["items_without_metadata"] = int((~cleaned.items.is_in(items["item"].implode())).sum())
    texts = any(kind.form == "reviews" for kind in kinds.values())
    verified = texts and version != "2014"
    scan = pl.scan_parquet(cleaned.file, glob=False)
    return Reviews(
        rows=described(cleaned, items, work / "described", says),
        cuts=OFFICIAL if split == "official" else cut_dates(scan, "time"),
        fields=fields(
            categories=len(cleaned.categories) > 1,
            form=form_of(version) if texts else (),
            verified=verified,
            metadata=items is not None,
        ),
        categories=cleaned.categories,
        votes=texts,
        verified=verified,
        quirks=cleaned.quirks | quirks,
        malformed={
            file.name: list(records.first_malformed)
            for file, records in (reviews | metadata).items()
            if records.malformed
        },
    )


def _kinds(files: Sequence[Path], categories: Sequence[str], work: Path, says: Reporting) -> dict[Path, Kind]:
    """Return the content kind of each file, in an order that does not depend on that of the arguments.

    Raises:
        DataError: there are no reviews, or releases are mixed.
    """
    found = {}
    for path in files:
        if path.suffix.lower() in NOTES:
            says.report(f"Passed over {path.name}.")
            continue
        for file in [path] if _gzipped(path) else unpack(path, work, says):
            if not categories or category_of(file) in categories:
                found[file] = kind_of(file, says)
    ordered = dict(sorted(found.items(), key=lambda entry: (category_of(entry[0]), entry[0].name)))
    of_reviews = {file: kind for file, kind in ordered.items() if kind.form != "metadata"}
    missing = set(categories) - set(map(category_of, of_reviews))
    if missing or not of_reviews:
        given = ", ".join(sorted(file.name for file in files))
        what = f"of {', '.join(sorted(missing))} " if missing else ""
        raise DataError(f"No reviews {what}among {given}. Give a file of reviews or ratings: {says.command}")
    if len({kind.version for kind in ordered.values()}) > 1:
        named = "; ".join(f"{file.name} is of {kind.version}" for file, kind in ordered.items())
        raise DataError(
            f"Releases are mixed, whose ids, times and votes differ: {named}. Give one: {says.command}"
        )
    return ordered


def _read_all(
    kinds: Mapping[Path, Kind], work: Path, says: Reporting
) -> tuple[dict[Path, Lines], dict[Path, Lines]]:
    """Read the files of reviews, and those of metadata."""
    reviews, metadata = {}, {}
    for i, (file, kind) in enumerate(kinds.items()):
        parts = work / f"read-{i}"
        if kind.form == "metadata":
            records = metadata[file] = read_metadata(file, kind.version, parts, says)
        else:
            records = reviews[file] = read_reviews(file, kind, parts, says)
        says.report(f"Read {file.name}: {kind.form} of {kind.version}, {records.rows:,} lines.")
    return reviews, metadata


def _report(quirks: Mapping[str, int], says: Reporting) -> None:
    incomplete = quirks["reviews_without_user_item_time_or_rating"] + quirks["impossible_ratings"]
    says.report(
        f"Kept {quirks['reviews']:,} of {quirks['rows']:,} rows; dropped {quirks['duplicate_reviews']:,} "
        f"duplicates, {quirks['later_reviews_of_a_pair']:,} later reviews of an item, "
        f"{quirks['malformed_rows']:,} malformed, {incomplete:,} incomplete."
    )


def _gzipped(path: Path) -> bool:
    """Return whether the file is gzipped: reviews are read from gzip without unpacking first."""
    with path.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP
