"""What can be compared: the metrics that have an influence, and the smallest effect of each that matters."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import UsageError, unknown
from mtlbench.schema import Task
from mtlbench.statistics.influence import relative_loss_gain

MEASURES: Mapping[str, Mapping[str, float]] = {
    "binary": {"auc": 0.001, "gauc": 0.001, "log_loss": 0.002},
    "regression": {"r2": 0.005},
}
"""Kind of task -> metric -> smallest effect of interest, in the unit of the gain."""
LOSSES = ("log_loss",)
"""Lower is better; their gain is relative, as a share of the baseline's loss."""


def metric_of(task: Task, wanted: str) -> str:
    """The metric to compare a task by: the one that is wanted where the task has it, else its primary one."""
    return wanted if wanted in MEASURES[task.kind] else task.metric


def check_metric(wanted: str, tasks: Collection[Task] = ()) -> None:
    """Refuse a metric that nothing can be compared by, or that none of these tasks has.

    Raises:
        UsageError: it is unknown here, or of another kind of task.
    """
    known = [metric for metrics in MEASURES.values() for metric in metrics]
    if wanted and wanted not in known:
        raise unknown("metric", wanted, known)
    if wanted and tasks and not any(wanted in MEASURES[task.kind] for task in tasks):
        had = ", ".join(dict.fromkeys(metric for task in tasks for metric in MEASURES[task.kind]))
        raise UsageError(f"--metric {wanted}: none of these tasks has it; they have {had}.")


def smallest_effect(task: Task, metric: str, given: float | Mapping[str, float] | None) -> float:
    """Delta of a task: the one given for all, or for this one, else the metric's own."""
    if isinstance(given, Mapping):
        given = given.get(task.name)
    return given or MEASURES[task.kind][metric]


def check_deltas(given: float | Mapping[str, float] | None, tasks: Collection[str]) -> None:
    """Refuse deltas of unknown tasks, and those that are not above 0.

    Raises:
        UsageError: such a delta.
    """
    for task, delta in (given if isinstance(given, Mapping) else {"": given}).items():
        if task and task not in tasks:
            raise unknown("task in delta:", task, tasks)
        if delta is not None and not 0 < delta < np.inf:
            raise UsageError(f"delta = {delta}: give the smallest effect of interest, above 0, e.g. 0.001.")


def gain_unit(metric: str) -> str:
    """The unit of a gain: the metric itself, or a share of it."""
    return f"relative {metric}" if metric in LOSSES else metric


def contrast(metric: str, method: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    """(clusters, seeds) influences of two arms to their contrast, higher is better for the method.

    Raises:
        UndefinedMetric: the baseline's loss is 0.
    """
    return relative_loss_gain(method, baseline) if metric in LOSSES else method - baseline
