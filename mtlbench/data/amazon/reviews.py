"""Reviews in the three schemas, told apart by content, as one table.

| | 2014 | 2018 | 2023 |
| --- | --- | --- | --- |
| user, item | reviewerID, asin | reviewerID, asin | user_id, parent_asin |
| rating, time | overall, unixReviewTime (days) | the same | rating, timestamp (milliseconds) |
| votes | helpful: [up, total] | vote: "1,234", or absent for none | helpful_vote |
| bought there | - | verified | verified_purchase |

Each year also has tables of ratings alone: `user,item,rating,time` in 2014, `item,user,rating,time` in
2018, and with a header in 2023.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from mtlbench.data.amazon.records import Records, as_object, first_lines, read_records
from mtlbench.data.lines import Column, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.data.unpack import unpack
from mtlbench.errors import DataError

Version = Literal["2014", "2018", "2023"]
Form = Literal["reviews", "ratings", "metadata"]

EARLIEST, LATEST = 788_918_400_000, 2_208_988_800_000
"""1995, when the shop opened, and 2040, in milliseconds: a time outside is damage."""
TEXT_FORM = ("chars", "words", "exclamations", "questions", "capitals")
REVIEW_FORM = (
    *(f"text_{name}" for name in TEXT_FORM),
    *(f"title_{name}" for name in TEXT_FORM),
    "has_image",
    "style_attributes",
)
"""What describes the review as it is being written; null where a file has ratings alone."""
_OF_STARS = r"(?i)^\s*(one|two|three|four|five|[1-5]) stars?\s*$"
"""The title that the shop filled in where the user wrote none: it is the rating itself, so it is no title."""
_USER, _ITEM = re.compile(r"A[A-Z0-9]{10,}|#oc-.*"), re.compile(r"[A-Z0-9]{10}")
_HEADERS: dict[Version, tuple[str, str, str, str]] = {
    "2023": ("user_id", "parent_asin", "rating", "timestamp"),
    "2018": ("reviewerID", "asin", "overall", "unixReviewTime"),
}
_ORDERS: dict[Version, tuple[str, str, str, str]] = {
    "2014": ("user", "item", "rating", "time"),
    "2018": ("item", "user", "rating", "time"),
}
_KEYS: dict[Version, dict[str, str]] = {
    "2014": {
        "user": "reviewerID",
        "item": "asin",
        "rating": "overall",
        "time": "unixReviewTime",
        "votes": "helpful",
        "text": "reviewText",
        "title": "summary",
    },
    "2018": {
        "user": "reviewerID",
        "item": "asin",
        "rating": "overall",
        "time": "unixReviewTime",
        "votes": "vote",
        "verified": "verified",
        "text": "reviewText",
        "title": "summary",
        "images": "image",
        "style": "style",
    },
    "2023": {
        "user": "user_id",
        "item": "parent_asin",
        "rating": "rating",
        "time": "timestamp",
        "votes": "helpful_vote",
        "verified": "verified_purchase",
        "text": "text",
        "title": "title",
        "images": "images",
    },
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file holds.

    Attributes:
        version: the year of the release.
        form: reviews, ratings alone, or the items' metadata.
        columns: of a table of ratings, its columns in order; () where it has a header.
    """

    version: Version
    form: Form
    columns: tuple[str, ...] = ()


def form_of(version: Version) -> tuple[str, ...]:
    """What of REVIEW_FORM the release says."""
    said = {"has_image": "images", "style_attributes": "style"}
    return tuple(name for name in REVIEW_FORM if said.get(name, "text") in _KEYS[version])


def category_of(path: Path) -> str:
    """The category that a file is named after.

    `reviews_Digital_Music_5.json.gz`, `Digital_Music_5.json.gz`, `meta_Digital_Music.jsonl` and
    `Digital_Music.5core.rating_only.csv.gz` are all of Digital_Music.
    """
    stem = path.name.lstrip(".").split(".")[0]
    return re.sub(r"^(reviews|ratings|meta)_|_5$", "", stem) or stem


def kind_of(path: Path, says: Reporting) -> Kind:
    """Tell what the file holds by its first lines.

    Raises:
        DataError: nothing, or nothing known.
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


def read_reviews(path: Path, kind: Kind, parts: Path, says: Reporting) -> Records:
    """Reviews or ratings as one table.

    Returns:
        Records with user, item (strings), time (milliseconds), rating, votes, verified and REVIEW_FORM; null
        where the file says nothing or something impossible, which nobody has counted yet.

    Raises:
        DataError: damaged packing, no line, or more than 0.1 % of the lines are malformed.
    """
    if kind.form == "ratings":
        return _read_ratings(path, kind, parts, says)
    keys = _KEYS[kind.version]

    def shape(chunk: pl.DataFrame) -> pl.DataFrame:
        named = chunk.rename({key: name for name, key in keys.items()})
        return named.select(
            "line",
            *_facts(kind.version),
            _votes(kind.version).alias("votes"),
            _verified(kind.version).alias("verified"),
            *_form(keys),
        )

    return read_records(path, keys.values(), shape, parts, says)


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
    for version, header in _HEADERS.items():
        if set(header) <= set(rows[0]):
            return Kind(version, "ratings")
    whole = [row for row in rows if len(row) == 4]
    for version, order in _ORDERS.items():
        user, item = order.index("user"), order.index("item")
        fitting = sum(bool(_USER.fullmatch(r[user]) and _ITEM.fullmatch(r[item])) for r in whole)
        if 2 * fitting > len(rows):
            return Kind(version, "ratings", order)
    raise DataError(
        f"{path.name}: no reviews, ratings or metadata that are known here; it begins {lines[0][:80]!r}. "
        "Without a header, the first two of four columns must be user and item ids of 2014, or item and user "
        f"ids of 2018. {again}"
    )


def _read_ratings(path: Path, kind: Kind, parts: Path, says: Reporting) -> Records:
    parts.mkdir(parents=True)
    names = _HEADERS[kind.version] if not kind.columns else ("user", "item", "rating", "time")
    [table] = unpack(path, parts, says)
    lines = read_lines(
        table,
        {name: Column(pl.String, optional=True) for name in names},
        parts / "table.parquet",
        says.command,
        names=kind.columns or None,
    )
    named = lines.frame.rename(dict(zip(names, ("user", "item", "rating", "time"), strict=True)))
    frame = named.select(
        "line",
        *_facts(kind.version),
        votes=pl.lit(None, dtype=pl.Int32),
        verified=pl.lit(None, dtype=pl.Boolean),
        **{name: pl.lit(None, dtype=pl.Float32) for name in REVIEW_FORM},
    )
    return Records(frame, lines.rows, lines.malformed, lines.first_malformed)


def _facts(version: Version) -> list[pl.Expr]:
    """Who rated what, when and how."""
    moment = pl.col("time").str.strip_suffix(".0").cast(pl.Int64, strict=False) * (
        1 if version == "2023" else 1000
    )
    rating = pl.col("rating").cast(pl.Float32, strict=False)
    ids = [pl.col(name).str.strip_chars() for name in ("user", "item")]
    return [
        *(pl.when(text != "").then(text) for text in ids),
        pl.when(moment.is_between(EARLIEST, LATEST)).then(moment).alias("time"),
        pl.when(rating.is_finite()).then(rating).alias("rating"),
    ]


def _votes(version: Version) -> pl.Expr:
    """How many found the review helpful; null where that cannot be read."""
    votes = pl.col("votes")
    if version == "2014":
        return votes.str.extract(r"^\[\s*([0-9]+)\s*[,\]]").cast(pl.Int32, strict=False)
    number = votes.str.replace_all(",", "").cast(pl.Int32, strict=False)
    return pl.when(votes.is_null()).then(0).otherwise(number) if version == "2018" else number


def _verified(version: Version) -> pl.Expr:
    """Whether the shop says that the reviewer bought it there."""
    if version == "2014":
        return pl.lit(None, dtype=pl.Boolean)
    verified = pl.col("verified")
    return pl.when(verified.is_in(["true", "false"])).then(verified == "true")


def _form(keys: dict[str, str]) -> list[pl.Expr]:
    """REVIEW_FORM; what the schema has no key for is null."""
    title = pl.col("title").fill_null("")
    written = pl.when(title.str.contains(_OF_STARS)).then(pl.lit("")).otherwise(title)
    null = pl.lit(None, dtype=pl.Float32)
    image = pl.col("images").is_not_null() & (pl.col("images") != "[]") if "images" in keys else null
    style = pl.col("style").str.count_matches(r'[{,]\s*"[^"]*"\s*:').fill_null(0) if "style" in keys else null
    return [
        *_text_form("text", pl.col("text").fill_null("")),
        *_text_form("title", written),
        image.cast(pl.Float32).alias("has_image"),
        style.cast(pl.Float32).alias("style_attributes"),
    ]


def _text_form(name: str, text: pl.Expr) -> list[pl.Expr]:
    """Log counts, and the share of letters that are capitals (0 without letters)."""
    capitals = text.str.count_matches(r"\p{Lu}") / text.str.count_matches(r"\p{L}").clip(lower_bound=1)
    counts = {
        "chars": text.str.len_chars(),
        "words": text.str.count_matches(r"\S+"),
        "exclamations": text.str.count_matches("!", literal=True),
        "questions": text.str.count_matches("?", literal=True),
    }
    logs = [count.log1p().cast(pl.Float32).alias(f"{name}_{what}") for what, count in counts.items()]
    return [*logs, capitals.cast(pl.Float32).alias(f"{name}_capitals")]
