"""Ways to split rows: by a hash of an id, and by dates."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from mtlbench.data.hashing import keyed


def hashed(column: str, share: float, salt: int = 0) -> pl.Expr:
    """Choose a pseudo-random `share` of all ids: the same on every machine, every time.

    Args:
        column: integers or strings.
        share: in [0, 1].
        salt: other salts choose other ids.

    Returns:
        A boolean expression; a null id is never chosen.
    """

    def chosen(ids: pl.Series) -> pl.Series:
        known = ids.drop_nulls().unique()
        if known.dtype.is_integer():
            codes = keyed(salt, known.cast(pl.Int64).to_numpy()) if len(known) else np.empty(0, np.uint64)
        else:
            codes = np.fromiter((stable_code(text, salt) for text in known.cast(pl.String)), np.uint64)
        below = known.filter(pl.Series(codes < np.uint64(min(int(share * 2**64), 2**64 - 1))))
        return ids.is_in(below.implode()).fill_null(False)

    return pl.col(column).map_batches(chosen, return_dtype=pl.Boolean, is_elementwise=True)


def share_of_smallest(ids: pl.Series, count: int | Literal["all"], salt: int = 0) -> float:
    """Return the share at which `hashed` takes `count` of these integer ids, those with the smallest hashes.

    "all", or at least as many as there are, gives 1. Other ids, such as those of later days, are then taken
    by the same bound.
    """
    if count == "all" or count >= len(ids):
        return 1.0
    last, beyond = np.sort(keyed(salt, ids.to_numpy()))[count - 1 : count + 1]
    return (float(last) + float(beyond)) / 2**65  # between the two: a float does not hold 64 bits


def stable_code(text: str, salt: int = 0) -> int:
    """Return 64 bits of a text's BLAKE2b digest, the same in every version of every library."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, salt=salt.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


def cut_dates(frame: pl.LazyFrame, time: str, shares: Sequence[float] = (0.8, 0.1)) -> tuple[Any, Any]:
    """Find the start times of validation and test at which train and validation hold these shares of rows.

    Rows of equal time stay together: train is `time < first`, validation `first <= time < second`.

    Args:
        frame: all rows, including the test period; only their number and times are read.
        time: column of numbers or dates, without nulls.
        shares: shares of train and of validation.
    """
    counts = frame.group_by(time).agg(rows=pl.len()).sort(time).collect(engine="streaming")
    before = counts["rows"].cum_sum() - counts["rows"]
    total = int(counts["rows"].sum())
    at = [
        min(int(before.search_sorted(share * total, side="left")), len(counts) - 1)
        for share in (shares[0], shares[0] + shares[1])
    ]
    return counts[time][at[0]], counts[time][at[1]]
