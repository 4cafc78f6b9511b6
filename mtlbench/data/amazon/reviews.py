"""Reviews of the three releases as one table.

| | 2014 | 2018 | 2023 |
| --- | --- | --- | --- |
| user, item | reviewerID, asin | reviewerID, asin | user_id, parent_asin |
| rating, time | overall, unixReviewTime (days) | the same | rating, timestamp (milliseconds) |
| votes | helpful: [up, total] | vote: "1,234", or absent for none | helpful_vote |
| bought there | - | verified | verified_purchase |

Each year also has tables of ratings only: `user,item,rating,time` in 2014, `item,user,rating,time` in
2018, and with a header in 2023.
"""

from pathlib import Path

import polars as pl

from mtlbench.data.amazon.kinds import HEADERS, Kind, Version
from mtlbench.data.amazon.records import read_records
from mtlbench.data.lines import Column, Lines, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.data.unpack import unpack

EARLIEST, LATEST = 788_918_400_000, 2_208_988_800_000
"""Bounds of valid times, in milliseconds: 1995, when the shop opened, and 2040."""
TEXT_FORM = ("chars", "words", "exclamations", "questions", "capitals")
REVIEW_FORM = (
    *(f"text_{name}" for name in TEXT_FORM),
    *(f"title_{name}" for name in TEXT_FORM),
    "has_image",
    "style_attributes",
)
"""Fields that describe the review as it is being written; null if a file has only ratings."""
_OF_STARS = r"(?i)^\s*(one|two|three|four|five|[1-5]) stars?\s*$"
"""Titles that the shop filled in if the user wrote none: they are the rating itself, so they do not count."""
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


def form_of(version: Version) -> tuple[str, ...]:
    """Return the fields of REVIEW_FORM that the release has."""
    said = {"has_image": "images", "style_attributes": "style"}
    return tuple(name for name in REVIEW_FORM if said.get(name, "text") in _KEYS[version])


def read_reviews(path: Path, kind: Kind, parts: Path, says: Reporting) -> Lines:
    """Read reviews or ratings as one table.

    Returns:
        Lines with user, item (strings), time (milliseconds), rating, votes, verified and REVIEW_FORM; null
        where the file has no value or an impossible one, which `clean` counts later.

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


def _read_ratings(path: Path, kind: Kind, parts: Path, says: Reporting) -> Lines:
    parts.mkdir(parents=True)
    names = HEADERS[kind.version] if not kind.columns else ("user", "item", "rating", "time")
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
    return Lines(frame, lines.rows, lines.malformed, lines.first_malformed)


def _facts(version: Version) -> list[pl.Expr]:
    """Select user, item, time and rating; null if invalid."""
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
    """Return the number of helpful votes; null if unreadable."""
    votes = pl.col("votes")
    if version == "2014":
        return votes.str.extract(r"^\[\s*([0-9]+)\s*[,\]]").cast(pl.Int32, strict=False)
    number = votes.str.replace_all(",", "").cast(pl.Int32, strict=False)
    return pl.when(votes.is_null()).then(0).otherwise(number) if version == "2018" else number


def _verified(version: Version) -> pl.Expr:
    """Return whether the reviewer bought the item there, according to the shop."""
    if version == "2014":
        return pl.lit(None, dtype=pl.Boolean)
    verified = pl.col("verified")
    return pl.when(verified.is_in(["true", "false"])).then(verified == "true")


def _form(keys: dict[str, str]) -> list[pl.Expr]:
    """Compute the fields of REVIEW_FORM; those that the release has no key for are null."""
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
    """Compute log counts, and the share of letters that are capitals (0 without letters)."""
    capitals = text.str.count_matches(r"\p{Lu}") / text.str.count_matches(r"\p{L}").clip(lower_bound=1)
    counts = {
        "chars": text.str.len_chars(),
        "words": text.str.count_matches(r"\S+"),
        "exclamations": text.str.count_matches("!", literal=True),
        "questions": text.str.count_matches("?", literal=True),
    }
    logs = [count.log1p().cast(pl.Float32).alias(f"{name}_{what}") for what, count in counts.items()]
    return [*logs, capitals.cast(pl.Float32).alias(f"{name}_capitals")]
