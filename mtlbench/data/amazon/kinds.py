"""The kind of a file, recognised by content: reviews, ratings alone or metadata, and the release."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mtlbench.data.amazon.records import as_object, first_lines
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

Version = Literal["2014", "2018", "2023"]
Form = Literal["reviews", "ratings", "metadata"]

_USER, _ITEM = re.compile(r"A[A-Z0-9]{10,}|#oc-.*"), re.compile(r"[A-Z0-9]{10}")
HEADERS: dict[Version, tuple[str, str, str, str]] = {
    "2023": ("user_id", "parent_asin", "rating", "timestamp"),
    "2018": ("reviewerID", "asin", "overall", "unixReviewTime"),
}
ORDERS: dict[Version, tuple[str, str, str, str]] = {
    "2014": ("user", "item", "rating", "time"),
    "2018": ("item", "user", "rating", "time"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """The content of a file.

    Attributes:
        version: the year of the release.
        form: reviews, ratings alone, or the items' metadata.
        columns: for a table of ratings, its columns in order; () if it has a header.
    """

    version: Version
    form: Form
    columns: tuple[str, ...] = ()


def category_of(path: Path) -> str:
    """Return the category that a file is named after.

    `reviews_Digital_Music_5.json.gz`, `Digital_Music_5.json.gz`, `meta_Digital_Music.jsonl` and
    `Digital_Music.5core.rating_only.csv.gz` are all of Digital_Music.
    """
    stem = path.name.lstrip(".").split(".")[0]
    return re.sub(r"^(reviews|ratings|meta)_|_5$", "", stem) or stem


def kind_of(path: Path, says: Reporting) -> Kind:
    """Recognise the content of a file by its first lines.

    Raises:
        DataError: the file is empty, or its content is unknown.
    """
    lines = first_lines(path, says)
    again = f"Give reviews, ratings or metadata as published: {says.command}"
    if not lines:
        raise DataError(f"{path.name} is empty. {again}")
    if lines[0].lstrip()[:1] == b"<":
        raise DataError(f"{path.name} is a web page (a download that asked to log in?). {again}")
    if lines[0].lstrip()[:1] == b"[":
        raise DataError(f"{path.name} is one JSON list; wanted is an object a line. {again}")
    keys = {key for line in lines if (found := as_object(line)) is not None for key in found}
    if keys:
        return _kind_of_records(path, keys, again)
    return _kind_of_table(path, [line.decode(errors="replace") for line in lines], again)


def _kind_of_records(path: Path, keys: set[str], again: str) -> Kind:
    if {"user_id", "timestamp"} <= keys:
        return Kind("2023", "reviews")
    if {"reviewerID", "asin"} <= keys:
        return Kind("2014" if "helpful" in keys else "2018", "reviews")
    if "parent_asin" in keys:
        return Kind("2023", "metadata")
    if "asin" in keys:
        return Kind("2014" if "categories" in keys or "imUrl" in keys else "2018", "metadata")
    raise DataError(
        f"{path.name}: neither reviews nor metadata; its records have {', '.join(sorted(keys)[:8])[:300]}. "
        f"{again}"
    )


def _kind_of_table(path: Path, lines: Sequence[str], again: str) -> Kind:
    rows = [[field.strip().strip('"') for field in line.strip().split(",")] for line in lines]
    for version, header in HEADERS.items():
        if set(header) <= set(rows[0]):
            return Kind(version, "ratings")
    whole = [row for row in rows if len(row) == 4]
    for version, order in ORDERS.items():
        user, item = order.index("user"), order.index("item")
        fitting = sum(bool(_USER.fullmatch(r[user]) and _ITEM.fullmatch(r[item])) for r in whole)
        if 2 * fitting > len(rows):
            return Kind(version, "ratings", order)
    raise DataError(
        f"{path.name}: no reviews, ratings or metadata that are known here; it begins {lines[0][:80]!r}. "
        "Without a header, the first two of four columns must be user and item ids of 2014, or item and user "
        f"ids of 2018. {again}"
    )
