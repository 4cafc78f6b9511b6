"""Figures that others report, given beside the verdicts and never instead of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mtlbench.compare.measures import LOSSES
from mtlbench.compare.task_comparison import TaskComparison
from mtlbench.statistics.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Secondary:
    """One arm over all tasks of the family; NaN where a figure has no value.

    They combine tasks whose errors differ and have no error of their own, so none of them shows that a task
    is harmed.

    Attributes:
        delta_m: mean over tasks of the relative change of the metric in percent, signed so that higher is
            better: `100/K sum_k s_k (M_k - M_b,k) / M_b,k`, s_k = -1 where lower is better.
            Source: Maninis et al., CVPR 2019, equation 2, with the sign turned.
        mean_gain: mean over tasks of gain / delta.
        worst_task: the task with the lowest gain / delta; empty if no task has a gain.
        worst_gain: gain / delta of the worst task.
        harmed_tasks: tasks with the verdict NEGATIVE.
        relative_improvement: RelaImpr, mean over the tasks that have one.
        share_of_seeds_gaining: share of seeds whose mean gain / delta is above 0: P(MTL > STL).
    """

    delta_m: float
    mean_gain: float
    worst_task: str
    worst_gain: float
    harmed_tasks: tuple[str, ...]
    relative_improvement: float
    share_of_seeds_gaining: float


def secondary(comparisons: Sequence[TaskComparison]) -> Secondary:
    """Compute the figures of one arm over its tasks that have a gain; `harmed_tasks` covers all."""
    known = [c for c in comparisons if not math.isnan(c.gain)]
    worst = min(known, key=lambda c: c.gain / c.delta) if known else None
    by_seed = np.array([[gain / c.delta for gain in c.measured.seed_gains] for c in known])  # (task, seed)
    return Secondary(
        delta_m=100 * _mean(_relative_change(c) for c in known),
        mean_gain=_mean(c.gain / c.delta for c in known),
        worst_task=worst.task.name if worst else "",
        worst_gain=worst.gain / worst.delta if worst else math.nan,
        harmed_tasks=tuple(c.task.name for c in comparisons if c.judgement.verdict is Verdict.NEGATIVE),
        relative_improvement=_mean(
            c.relative_improvement for c in known if not math.isnan(c.relative_improvement)
        ),
        share_of_seeds_gaining=float((by_seed.mean(axis=0) > 0).mean()) if known else math.nan,
    )


def _relative_change(c: TaskComparison) -> float:
    value, base = c.measured.value, c.measured.baseline_value
    sign = -1 if c.metric in LOSSES else 1
    return sign * (value - base) / abs(base) if base else math.nan


def _mean(values: Iterable[float]) -> float:
    held = list(values)
    return math.fsum(held) / len(held) if held else math.nan
