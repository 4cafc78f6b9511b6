"""Gains within groups of test rows: to explore where an effect comes from, never a verdict.

Every (arm, task, stratum) is a cell, estimated as in the family but from the stratum's rows alone: the AUC on
the rows of new users tells how these are ranked among themselves. Calls control the share of false calls
among all (Benjamini-Hochberg), not the chance of any, and the groups were not declared beforehand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare.arms import Arm
from mtlbench.compare.contrasts import Contrasts, Measured
from mtlbench.compare.influences import Cell
from mtlbench.compare.sides import sides
from mtlbench.compare.task_comparison import ends, plain
from mtlbench.config import Family
from mtlbench.results import Result
from mtlbench.schema import Schema
from mtlbench.statistics.multiplicity import benjamini_hochberg
from mtlbench.statistics.variance import interval, p_value
from mtlbench.statistics.verdict import INTERVAL_ALPHA, adjusted_df, why_no_verdict

RATE = 0.10
"""Expected share of false calls among all calls."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """A group of test rows.

    Attributes:
        of: what the rows are grouped by.
        name: name of the group.
        rows: (test rows,) True for the rows of the group.
    """

    of: str
    name: str
    rows: NDArray[np.bool_]


def explore(
    results: Sequence[Result], schema: Schema, family: Family, by: str, strata: Sequence[Stratum]
) -> dict[str, Any]:
    """Compare every arm with the baseline within every stratum.

    Returns:
        Plain values: `by`, `label`, `rate`, `size` (the number of cells) and `cells`. A cell's `call` is
        "EXPLORATORY POSITIVE", "EXPLORATORY NEGATIVE" or None; its `reason` says why it cannot have one.
    """
    tasks = [t for t in schema.tasks if t.name in (family.tasks or schema.task_names)]
    held = sides(results, schema, family.baseline)
    contrasts = Contrasts(tasks, family.baseline, family.metric, [s.rows for s in strata])
    of_cells = [stratum for stratum in strata for _ in tasks]  # as Contrasts has them
    found = [
        (arm, stratum, cell, measured)
        for arm in held.arms
        for stratum, cell, measured in zip(
            of_cells, contrasts.cells, contrasts.measure(arm, held.baselines), strict=True
        )
    ]
    adjusted = _adjusted([measured for *_, measured in found], schema.cluster)
    return {
        "by": by,
        "label": "EXPLORATORY",
        "rate": RATE,
        "size": len(found),
        "cells": [
            _cell(arm, stratum, cell, measured, p, schema.cluster)
            for (arm, stratum, cell, measured), p in zip(found, adjusted, strict=True)
        ],
    }


def _adjusted(cells: Sequence[Measured], cluster: str) -> list[float]:
    """Adjust over all cells (Benjamini-Hochberg); a cell that cannot have a call is NaN and counts as p = 1.

    The p-value of a cell with too few users may be anything: ranked with the others, it would lower the bar
    for them. The degrees of freedom are those of a family of this size, since Satterthwaite's are too
    generous far out.
    """
    level = RATE / max(len(cells), 1)
    estimates = [None if _no_call(cell, cluster) else cell.estimate for cell in cells]
    p = np.array([p_value(e, adjusted_df(e.df, e.seeds, level)) if e else math.nan for e in estimates])
    adjusted = benjamini_hochberg(np.nan_to_num(p, nan=1.0).tolist())
    return np.where(np.isnan(p), math.nan, adjusted).tolist()  # type: ignore[no-any-return]


def _no_call(cell: Measured, cluster: str) -> str:
    """Return why a cell cannot have a call; empty if it can."""
    return cell.reason or why_no_verdict(cell.estimate, cluster)


def _cell(
    arm: Arm, stratum: Stratum, cell: Cell, measured: Measured, adjusted: float, cluster: str
) -> dict[str, Any]:
    e = measured.estimate
    reason = _no_call(measured, cluster)
    call = f"EXPLORATORY {'POSITIVE' if e.gain > 0 else 'NEGATIVE'}"
    values: dict[str, Any] = plain(
        {
            "arm": arm.name,
            **arm.identity,
            "task": cell.task.name,
            "metric": cell.metric,
            "of": stratum.of,
            "stratum": stratum.name,
            "rows": int(stratum.rows.sum()),
            "clusters": e.clusters,
            "seeds": e.seeds,
            "value": measured.value,
            "baseline_value": measured.baseline_value,
            "gain": e.gain,
            "se": e.se,
            "df": e.df,
            "interval": ends(interval(e, e.df, INTERVAL_ALPHA)),
            "p_value": p_value(e, e.df),
            "adjusted_p_value": adjusted,
            "call": call if adjusted <= RATE else None,
            "reason": reason or None,
        }
    )
    return values
