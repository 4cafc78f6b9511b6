"""Seeds that fall into two groups: some learn a task much worse than the others, which no test allows for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mtlbench.compare.measures import MEASURES
from mtlbench.config import arm_name
from mtlbench.statistics.verdict import MIN_SEEDS

GAP = 20
"""Smallest gap between two groups, in smallest effects of the metric."""
EFFECTS = {metric: effect for metrics in MEASURES.values() for metric, effect in metrics.items()}


@dataclass(frozen=True, slots=True)
class SeedGroups:
    """An arm whose seeds form two groups on a task.

    Attributes:
        arm: the method, and the balancer where it does anything.
        task: the task's name.
        metric: the metric that the task is compared by.
        lower, upper: test values of the two groups, ascending.
    """

    arm: str
    task: str
    metric: str
    lower: list[float]
    upper: list[float]


def seed_groups(
    comparisons: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]
) -> list[SeedGroups]:
    """Find the arms whose seeds form two groups on a task, of a document's comparisons and runs.

    Arms with more than one result per seed, as the points of a grid of weights, differ for a reason: they are
    left out.
    """
    found = []
    for task, metric in dict.fromkeys((c["task"], c["metric"]) for c in comparisons):
        by_arm: dict[str, list[tuple[int, float]]] = {}
        for run in runs:
            value = run["metrics"]["test"][task][metric] if run["metrics"] else None
            if value is not None:
                by_arm.setdefault(arm_name(run["method"], run["balancer"]), []).append((run["seed"], value))
        for arm, results in sorted(by_arm.items()):
            seeds, values = {seed for seed, _ in results}, [value for _, value in results]
            if len(values) == len(seeds) and (groups := _split(values, GAP * EFFECTS[metric])):
                found.append(SeedGroups(arm, task, metric, *groups))
    return found


def _split(values: list[float], gap: float) -> tuple[list[float], list[float]] | None:
    """Split values at their widest gap; None unless it is at least `gap` and half of the range."""
    if len(values) < MIN_SEEDS:
        return None
    ordered = sorted(values)
    gaps = [high - low for low, high in pairwise(ordered)]
    if max(gaps) < max(gap, (ordered[-1] - ordered[0]) / 2):
        return None
    at = gaps.index(max(gaps)) + 1
    return ordered[:at], ordered[at:]
