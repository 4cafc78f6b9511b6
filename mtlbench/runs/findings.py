"""Guards on a result: what a reader must know before trusting its scores. They always run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtlbench.results import Scores
from mtlbench.schema import Schema

TOO_GOOD = 0.995
"""Test AUC above which a leak is assumed until shown otherwise."""

Metrics = Mapping[str, Mapping[str, float | None]]
"""Task -> metric -> value, None if undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem that a guard found.

    Attributes:
        guard: leak, constant, identical, undefined or too-good.
        tasks: the tasks it is about.
        message: for people.
        explained: the dataset's card says why it is harmless; stored, but not a warning.
    """

    guard: str
    tasks: tuple[str, ...]
    message: str
    explained: bool = False


def examine(
    schema: Schema, scores: Scores, test: Metrics, leaks: Mapping[str, Any], *, constant: bool
) -> list[Finding]:
    """Return everything that is suspicious about a run.

    Args:
        schema: the tasks of the run.
        scores: its scores on the test split.
        test: its test metrics.
        leaks: the `guards` of the prepared dataset's manifest.
        constant: the method predicts one number per task by design.
    """
    return [
        *_leaks(schema, leaks),
        *([] if constant else _constant(scores)),
        *_identical(scores),
        *_undefined(schema, scores, test),
        *_too_good(schema, test),
    ]


def _leaks(schema: Schema, leaks: Mapping[str, Any]) -> list[Finding]:
    """Report fields that alone predict a task well: one finding per task and field, with the extreme AUC."""
    worst: dict[tuple[str, str], Mapping[str, Any]] = {}
    for entry in leaks.get("above", ()):
        if entry["task"] in schema.task_names:
            both = (entry["task"], entry["field"])
            worst[both] = max(worst.get(both, entry), entry, key=lambda e: abs(e["auc"] - 0.5))
    return [
        Finding(
            guard="leak",
            tasks=(task,),
            message=f"{task}: {field} alone has AUC {e['auc']:.3f} ({e['split']})"
            + (f". {e['explained']}" if e["explained"] else ", unexplained"),
            explained=bool(e["explained"]),
        )
        for (task, field), e in worst.items()
    ]


def _constant(scores: Scores) -> list[Finding]:
    """Report tasks whose predictions are all the same number: such a model has learned nothing."""
    return [
        Finding(guard="constant", tasks=(task,), message=f"{task}: all predictions are the same number")
        for task, score in scores.score.items()
        if len(score) and np.ptp(score) == 0
    ]


def _identical(scores: Scores) -> list[Finding]:
    """Report pairs of tasks with identical predictions, a sign of mixed-up heads; constants aside."""
    varied = [task for task, score in scores.score.items() if len(score) and np.ptp(score) > 0]
    return [
        Finding(guard="identical", tasks=(a, b), message=f"{a} and {b}: identical predictions")
        for i, a in enumerate(varied)
        for b in varied[i + 1 :]
        if np.array_equal(scores.score[a], scores.score[b])
    ]


def _undefined(schema: Schema, scores: Scores, test: Metrics) -> list[Finding]:
    """Report tasks whose primary metric is undefined, rather than drop them."""
    return [
        Finding(
            guard="undefined",
            tasks=(task.name,),
            message=f"{task.name}: {task.metric} is undefined on test, {_why(scores, task.name)}",
        )
        for task in schema.tasks
        if test[task.name][task.metric] is None
    ]


def _why(scores: Scores, task: str) -> str:
    label = scores.label[task]
    labels = label[~np.isnan(label)]
    if len(labels) == 0:
        return "where it has no label"
    if (labels == labels[0]).all():
        return f"where all {len(labels)} labels are {labels[0]:g}"
    return "since some predictions are not finite"


def _too_good(schema: Schema, test: Metrics) -> list[Finding]:
    return [
        Finding(
            guard="too-good",
            tasks=(task.name,),
            message=f"{task.name}: test AUC {auc:.4f} is too good to be true: look for a leak",
        )
        for task in schema.tasks
        if task.metric == "auc" and (auc := test[task.name]["auc"]) is not None and auc > TOO_GOOD
    ]
