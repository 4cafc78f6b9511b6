"""The ways to partition test rows into groups."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare.exploratory import Stratum
from mtlbench.errors import UsageError, unknown
from mtlbench.strata.rows import Rows

if TYPE_CHECKING:
    import polars as pl

COLD_START = "cold-start"
FEEDBACK_RATIO = "feedback-ratio"
EVENTS = {"0": 0, "1-4": 1, "5-19": 5, "20 and more": 20}
"""Stratum -> fewest train events of its users or items."""
THIRDS = ("low", "middle", "high")
MOST_VALUES = 20
"""Most values that are strata by themselves; more numbers are cut in quarters, other values are pooled."""


def partition(rows: Rows, by: str) -> list[Stratum]:
    """Return the strata that `by` names; those without a row are left out.

    Raises:
        UsageError: the column or task is unknown, or the dataset lacks what the strata are made of.
    """
    kind, colon, detail = by.partition(":")
    if kind == COLD_START:
        if colon:
            raise UsageError(f"--by {by}: {COLD_START} takes nothing after it: --by {COLD_START}")
        return cold_start(rows)
    if kind == FEEDBACK_RATIO:
        return feedback_ratio(rows, detail)
    return column(rows, by)


def happened(task: str) -> "pl.Expr":
    """Return an expression: whether a binary task happened on a row; False where it is not defined."""
    import polars as pl

    return (pl.col(task).cast(pl.Float64) == 1).fill_null(False)


def cold_start(rows: Rows) -> list[Stratum]:
    """Partition the rows twice, by the train events of their user and by those of their item.

    An event is a train row on which some binary task happened, so sampled negatives do not count; if all
    tasks are regressions, it is a row with a label.
    """
    import polars as pl

    tasks = [t.name for t in rows.schema.tasks if t.kind == "binary"]
    labels = [pl.col(t.name).cast(pl.Float64).is_finite().fill_null(False) for t in rows.schema.tasks]
    event = pl.any_horizontal([happened(task) for task in tasks] or labels)
    keys = {"user": rows.user, "item": rows.id_of("item")}
    strata = []
    for thing, key in keys.items():
        if key:
            counted = rows.scan("train").filter(event).group_by(key).agg(events=pl.len())
            joined = rows.scan("test").select(key).join(counted, on=key, how="left", maintain_order="left")
            events = joined.select(pl.col("events").fill_null(0)).collect().to_series().to_numpy()
            place = np.searchsorted(list(EVENTS.values()), events, side="right") - 1
            strata += _parted(f"train events of the {thing}", place, list(EVENTS))
    if not strata:
        raise UsageError(
            f"--by {COLD_START}: {rows.prepared.name} has no column with ids of users or items. Choose "
            f"another column: {', '.join(rows.columns)}."
        )
    return strata


def feedback_ratio(rows: Rows, detail: str) -> list[Stratum]:
    """Group users by `n_A / (n_A + n_B)` on train, in thirds of those that have either; others are `none`.

    Source: Su et al., "STEM: Unleashing the Power of Embeddings for Multi-task Recommendation", AAAI 2024.
    """
    import polars as pl

    known = [t.name for t in rows.schema.tasks if t.kind == "binary"]
    chosen = [name.strip() for name in detail.split(",")] if detail else known[:2]
    for name in chosen:
        if name not in known:
            raise unknown(f"binary task in --by {FEEDBACK_RATIO}:", name, known)
    if len(set(chosen)) != 2 or not rows.user:
        raise UsageError(
            f"--by {FEEDBACK_RATIO} wants two binary tasks and users with several rows, e.g. --by "
            f"{FEEDBACK_RATIO}:buy,view. Binary tasks of {rows.prepared.name}: {', '.join(known) or 'none'}."
        )
    one, two = (happened(name).sum() for name in chosen)
    ratios = rows.scan("train").group_by(rows.user).agg(ratio=one / (one + two))
    test = rows.scan("test").select(rows.user).join(ratios, on=rows.user, how="left", maintain_order="left")
    table = test.collect()
    ratio = table["ratio"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    users = table.unique(rows.user)["ratio"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    users = users[~np.isnan(users)]
    ends = np.quantile(users, [1 / 3, 2 / 3]) if len(users) else np.zeros(2)
    place = np.where(np.isnan(ratio), len(THIRDS), np.searchsorted(ends, ratio, side="left"))
    names = [f"{third} ({where})" for third, where in zip(THIRDS, _ranges(users, ends), strict=True)]
    return _parted(f"{chosen[0]} / ({chosen[0]} + {chosen[1]}) of the user", place, [*names, "none"])


def column(rows: Rows, name: str) -> list[Stratum]:
    """Group rows by a column: its most frequent values, or quarters by rank if it has many numbers."""
    known = [
        c for c in rows.columns if c not in rows.schema.task_names
    ]  # grouped by outcome, nothing is left to rank
    if name not in known:
        raise unknown("group of rows (--by):", name, [COLD_START, FEEDBACK_RATIO, *known])
    values = rows.test(name)
    if values.dtype.is_nested():
        raise UsageError(f"--by {name}: a column with one value a row is wanted, {name} holds lists.")
    ids = {f.name for f in rows.schema.of_kind("categorical")}
    if values.dtype.is_numeric() and name not in ids and values.n_unique() > MOST_VALUES:
        numbers = values.cast(float).fill_null(np.nan).to_numpy()
        there = numbers[~np.isnan(numbers)]
        ends = np.quantile(there, [0.25, 0.5, 0.75])
        place = np.where(np.isnan(numbers), 4, np.searchsorted(ends, numbers, side="left"))
        return _parted(name, place, [*_ranges(there, ends), "missing"])
    counts = values.drop_nulls().value_counts(sort=True)
    common = counts[name].head(MOST_VALUES).sort().to_list()
    index = values.replace_strict(common, range(len(common)), default=len(common))
    place = np.where(values.is_null().to_numpy(), len(common) + 1, index.to_numpy())
    return _parted(name, place, [*map(str, common), "others", "missing"])


def _ranges(values: NDArray[np.float64], ends: NDArray[np.float64]) -> list[str]:
    """Format the `low to high` of each part for people."""
    parts = np.searchsorted(ends, values, side="left")
    held = [values[parts == i] for i in range(len(ends) + 1)]
    return [f"{_short(part.min())} to {_short(part.max())}" if len(part) else "" for part in held]


def _short(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.4g}"


def _parted(of: str, place: NDArray[np.intp], names: Sequence[str]) -> list[Stratum]:
    """Return a stratum for each name that has a row; `place` (rows,) is the position of each row's name."""
    return [Stratum(of, name, place == i) for i, name in enumerate(names) if (place == i).any()]
