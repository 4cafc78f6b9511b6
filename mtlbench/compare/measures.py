"""The metrics that can be compared, each with an influence, and the smallest effect of each that matters."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from mtlbench.config import Family
from mtlbench.errors import UsageError, unknown
from mtlbench.schema import Schema, Task
from mtlbench.statistics.influence import relative_loss_gain

MEASURES: Mapping[str, Mapping[str, float]] = {
    "binary": {"auc": 0.001, "gauc": 0.001, "log_loss": 0.002},
    "regression": {"r2": 0.005},
}
"""Kind of task -> metric -> smallest effect of interest, in the unit of the gain."""
LOSSES = ("log_loss",)
"""Metrics of which lower is better; their gain is relative, a share of the baseline's loss."""


def metric_of(task: Task, wanted: str) -> str:
    """Return the metric to compare a task by: the wanted one if the task has it, else its primary one."""
    return wanted if wanted in MEASURES[task.kind] else task.metric


def check_metric(wanted: str, tasks: Collection[Task] = ()) -> None:
    """Refuse a metric that cannot be compared, or that none of the given tasks has.

    Raises:
        UsageError: the metric is unknown here, or belongs to another kind of task.
    """
    known = [metric for metrics in MEASURES.values() for metric in metrics]
    if wanted and wanted not in known:
        raise unknown("metric", wanted, known)
    if wanted and tasks and not any(wanted in MEASURES[task.kind] for task in tasks):
        had = ", ".join(dict.fromkeys(metric for task in tasks for metric in MEASURES[task.kind]))
        raise UsageError(f"metric = {wanted!r}: none of these tasks has it; they have {had}.")


def smallest_effect(task: Task, metric: str, given: float | Mapping[str, float] | None) -> float:
    """Return a task's delta: the one given for all tasks or for this one, else the metric's own."""
    if isinstance(given, Mapping):
        given = given.get(task.name)
    return given or MEASURES[task.kind][metric]


def check_deltas(given: float | Mapping[str, float] | None, tasks: Collection[str]) -> None:
    """Refuse deltas of unknown tasks.

    Raises:
        UsageError: there is no such task.
    """
    for task in given if isinstance(given, Mapping) else ():
        if task not in tasks:
            raise unknown("task in delta:", task, tasks)


def check_family(family: Family, schema: Schema) -> None:
    """Refuse a metric or deltas that do not fit the family's tasks, before anything is trained.

    Raises:
        UsageError: as `check_metric` and `check_deltas`.
    """
    check_metric(family.metric, [t for t in schema.tasks if t.name in (family.tasks or schema.task_names)])
    check_deltas(family.delta, schema.task_names)


def gain_unit(metric: str) -> str:
    """Return the unit of a gain: the metric itself, or a share of it."""
    return f"relative {metric}" if metric in LOSSES else metric


def contrast(metric: str, method: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the contrast of two arms' (clusters, seeds) influences; higher is better for the method.

    Raises:
        UndefinedMetric: the baseline's loss is 0.
    """
    return relative_loss_gain(method, baseline) if metric in LOSSES else method - baseline
