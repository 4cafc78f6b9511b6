"""Guards over a result: each finds its fault, names the task, and is silent where there is none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.evaluate import test_metrics as metrics_of
from mtlbench.results import Scores
from mtlbench.runs.findings import Finding, examine
from mtlbench.schema import Schema, Task

SCHEMA = Schema(
    fields=(), tasks=(Task(name="view"), Task(name="buy"), Task(name="rating", kind="regression"))
)
LABEL = np.array([1, 1, 0, 0, 1, 0], np.float32)
SOUND = {
    "view": np.array([0.9, 0.8, 0.3, 0.85, 0.7, 0.1], np.float32),
    "buy": np.array([0.2, 0.1, 0.3, 0.05, 0.7, 0.1], np.float32),
    "rating": np.array([1.0, 2.0, 0.0, 1.0, 1.0, 1.0], np.float32),
}


def findings(
    label: dict[str, NDArray[np.float32]] | None = None,
    leaks: dict[str, Any] | None = None,
    constant: bool = False,
    **score: NDArray[np.float32],
) -> list[Finding]:
    labels = dict.fromkeys(SOUND, LABEL) | (label or {})
    predicted = SOUND | score
    scores = Scores(cluster=np.arange(6) // 2, label=labels, score=predicted, score_best=predicted)
    test = metrics_of(SCHEMA, scores)["test"]
    return examine(SCHEMA, scores, test, leaks or {}, constant=constant)


def test_sound_scores_raise_nothing() -> None:
    assert findings() == []


def test_a_constant_prediction_is_named_but_where_it_is_meant() -> None:
    flat = np.full(6, 0.5, np.float32)
    (found,) = findings(buy=flat)
    assert (found.guard, found.tasks) == ("constant", ("buy",))
    assert findings(view=flat, buy=flat, rating=flat, constant=True) == []


def test_equal_predictions_of_two_tasks_are_named() -> None:
    (found,) = findings(buy=SOUND["view"])
    assert (found.guard, found.tasks) == ("identical", ("view", "buy"))


def test_a_task_without_two_classes_on_test_is_named_with_the_reason() -> None:
    (found,) = findings(label={"buy": np.zeros(6, np.float32)})
    assert (found.guard, found.tasks) == ("undefined", ("buy",))
    assert found.message == "buy: auc is undefined on test, where all 6 labels are 0"
    (found,) = findings(label={"buy": np.full(6, np.nan, np.float32)})
    assert "where it has no label" in found.message


def test_scores_too_good_to_be_true_are_doubted() -> None:
    (found,) = findings(view=LABEL * 0.5 + 0.1)
    assert (found.guard, found.tasks) == ("too-good", ("view",))
    assert "1.0000" in found.message


def test_what_the_leak_guard_saw_goes_with_the_result() -> None:
    """One finding a field and task, with its most extreme AUC; tasks that are not run are left out."""
    above = [
        {"field": "price", "task": "buy", "split": "train", "auc": 0.85, "explained": "A habit."},
        {"field": "price", "task": "buy", "split": "test", "auc": 0.12, "explained": "A habit."},
        {"field": "price", "task": "view", "split": "test", "auc": 0.9, "explained": ""},
        {"field": "price", "task": "cart", "split": "test", "auc": 0.9, "explained": ""},
    ]
    explained, doubtful = findings(leaks={"above": above})
    assert explained == Finding(
        guard="leak",
        tasks=("buy",),
        message="buy: price alone has AUC 0.120 (test). A habit.",
        explained=True,
    )
    assert doubtful.tasks == ("view",)
    assert not doubtful.explained
    assert "unexplained" in doubtful.message
