"""Reviews with their features and labels, written in blocks."""

from pathlib import Path

import numpy as np
import polars as pl

from mtlbench.data.amazon.clean import Clean
from mtlbench.data.amazon.features import DAY, LENGTH, calendar, past
from mtlbench.data.amazon.history import Ints
from mtlbench.data.matrix import blocks
from mtlbench.data.recipe import Reporting

READ_AFTER = 180 * DAY
"""Time for which a review must have been online before its votes say whether it helped, in milliseconds."""


def described(cleaned: Clean, items: pl.DataFrame | None, parts: Path, says: Reporting) -> pl.LazyFrame:
    """Add a column for each field and task to every review, in the order of `cleaned`.

    Args:
        cleaned: the reviews.
        items: item, price and other metadata; None without metadata.
        parts: a folder to create for the result.
        says: receives progress.
    """
    scan = pl.scan_parquet(cleaned.file, glob=False)
    events = scan.select("user", "item", "time", "rating", "verified").collect()
    user, item, time = (events[name].to_numpy() for name in ("user", "item", "time"))
    verified = events["verified"].cast(pl.Float32).fill_null(np.nan).to_numpy()
    numeric, users = past(user, item, time, events["rating"].to_numpy(), verified)
    known = pl.DataFrame({"item": cleaned.items})
    if items is not None:
        known = known.join(items, on="item", how="left", maintain_order="left")
        known = known.with_columns(pl.col("price").log1p())
    labels = _labels(newest=int(time[-1]))
    parts.mkdir()
    for block in blocks(len(time)):
        frame = scan.slice(block.start, block.stop - block.start).collect()
        code = frame["item"]
        frame.drop("row").with_columns(
            user=cleaned.users.gather(frame["user"]),
            category=pl.Series(cleaned.categories).gather(frame["category"]),
            recent_items=_listed(cleaned.items, item, users.recent(block, LENGTH)),
            **{name: pl.Series(column[block]) for name, column in numeric.items()},
            **{column.name: column.gather(code) for column in known},
            **calendar(),
            **labels,
        ).write_parquet(parts / f"{block.start:012}.parquet", compression="zstd", compression_level=1)
        says.progress("features", block.stop, len(time))
    return pl.scan_parquet(sorted(parts.iterdir()), glob=False)


def _listed(ids: pl.Series, item: Ints, positions: Ints) -> pl.Series:
    """Return the ids of the items of earlier reviews, one list per row.

    Args:
        ids: ids of the item codes.
        item: item code of every review.
        positions: (rows, LENGTH) positions of the earlier reviews, -1 where there is none.
    """
    flat = positions.ravel()
    found = ids.gather(item[flat]).set(pl.Series(flat < 0), None)
    return found.reshape(positions.shape).arr.to_list().list.drop_nulls()


def _labels(newest: int) -> dict[str, pl.Expr]:
    """Return the labels of all tasks except the rating, which exists already; null where not defined.

    Votes were counted on the day of the dump, which is taken to be that of the newest review.
    """
    read = pl.col("time") <= newest - READ_AFTER
    return {
        "liked": (pl.col("rating") == 5).cast(pl.Int8),
        "helpful": pl.when(read).then((pl.col("votes") >= 1).cast(pl.Int8)),
        "verified": pl.col("verified").cast(pl.Int8),
    }
