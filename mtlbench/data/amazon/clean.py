"""Cleaning the files' content to one review per (user, item), in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mtlbench.data.amazon.reviews import REVIEW_FORM
from mtlbench.data.lines import Lines
from mtlbench.errors import DataError


@dataclass(frozen=True, slots=True)
class Clean:
    """Cleaned reviews.

    Attributes:
        file: Parquet, one row per review by (time, user, item): user and item are codes, `category` an index
            into `categories`; other columns as read.
        users, items: the ids, ascending; a code is a position here.
        categories: names of the categories, ascending.
        quirks: name -> count of an oddity. `rows` counts the kept and the dropped rows.
    """

    file: Path
    users: pl.Series
    items: pl.Series
    categories: tuple[str, ...]
    quirks: dict[str, int]


def clean(reviews: Sequence[tuple[str, Lines]], work: Path, command: str) -> Clean:
    """Drop reviews that are incomplete, impossible, duplicate, or not a user's first of an item; count each.

    Args:
        reviews: (category, records), in an order that does not depend on how the files were given: of equal
            reviews the first counts.
        work: scratch folder.
        command: command for messages.

    Raises:
        DataError: nothing is left.
    """
    categories = tuple(sorted({category for category, _ in reviews}))
    rows = pl.concat(
        [
            records.frame.with_columns(
                category=pl.lit(categories.index(category), dtype=pl.Int32),
                row=pl.lit(i << 40, dtype=pl.Int64) + pl.col("line"),
            )
            for i, (category, records) in enumerate(reviews)
        ],
        how="vertical_relaxed",
    )
    whole = pl.all_horizontal(pl.col(name).is_not_null() for name in ("user", "item", "time", "rating"))
    possible = pl.col("rating").is_between(1, 5)
    unread = pl.col("text_chars").is_not_null() & pl.col("votes").is_null()
    counts = rows.select(
        reviews_without_user_item_time_or_rating=(~whole).sum(),
        impossible_ratings=(whole & ~possible).sum(),
        unreadable_votes=(whole & possible & unread).sum(),
    ).collect(engine="streaming")
    sound = rows.filter(whole & possible)
    users, items = (
        sound.select(pl.col(name).unique()).collect(engine="streaming")[name].sort()
        for name in ("user", "item")
    )
    marked = _marked(sound, users, items)
    kept = marked.filter(~pl.col("again")).select("row", "user", "item")
    quirks = {
        "rows": sum(records.rows for _, records in reviews),
        "malformed_rows": sum(records.malformed for _, records in reviews),
        **{name: int(n) for name, n in counts.row(0, named=True).items()},
        "duplicate_reviews": int(marked["double"].sum()),
        "later_reviews_of_a_pair": int((marked["again"] & ~marked["double"]).sum()),
        "reviews": len(kept),
    }
    if not len(kept):
        raise DataError(
            f"No review is left of {quirks['rows']:,} rows: all lack a user, item, time or rating, or the "
            f"rating is none of 1 to 5. Give other files: {command}"
        )
    file = work / "clean.parquet"
    sound.drop("user", "item", "line").join(kept.lazy(), on="row").sort("time", "user", "item").sink_parquet(
        file, compression="zstd", compression_level=1
    )
    quirks["copies_under_other_items"] = _copies(pl.scan_parquet(file, glob=False))
    return Clean(file, users, items, categories, quirks)


def _marked(sound: pl.LazyFrame, users: pl.Series, items: pl.Series) -> pl.DataFrame:
    """Return each row's number and codes; `again`: not its pair's first; `double`: also of the same time."""
    keys = sound.select("user", "item", "time", "row")
    for name, ids in (("user", users), ("item", items)):
        codes = ids.to_frame().select(name, code=pl.int_range(pl.len(), dtype=pl.Int64))
        keys = keys.join(codes.lazy(), on=name).drop(name).rename({"code": name})
    in_order = keys.collect(engine="streaming").sort("user", "item", "time", "row")
    again = pl.all_horizontal(
        (pl.col(name) == pl.col(name).shift()).fill_null(False) for name in ("user", "item")
    )
    same_time = (pl.col("time") == pl.col("time").shift()).fill_null(False)
    return in_order.select("row", "user", "item", again=again, double=again & same_time)


def _copies(reviews: pl.LazyFrame) -> int:
    """Count reviews that their user wrote for another item too: same moment, rating and form of text.

    The shop shows one review under all variants of a product, and the releases repeat it under each.
    """
    written = reviews.filter(pl.col("text_chars") > 0)
    counts = written.group_by("user", "time", "rating", *REVIEW_FORM).agg(copies=pl.len() - 1)
    return int(counts.select(pl.col("copies").sum()).collect(engine="streaming").item())
