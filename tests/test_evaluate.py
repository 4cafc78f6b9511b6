"""Evaluation: scores of the right checkpoint, metrics of exactly what is stored, and odd scores named."""

import numpy as np
import torch

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.evaluate import score_test, test_metrics
from mtlbench.load import Prepared
from mtlbench.methods.single_task import SingleTask
from mtlbench.results import Scores
from mtlbench.schema import Schema, Task
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from mtlbench.train.matrices import Matrices
from mtlbench.train.stack import Stack

test_metrics.__test__ = False  # type: ignore[attr-defined]  # a function of the package, not a test
CPU = torch.device("cpu")


def test_each_task_is_scored_by_its_own_model(toy: Prepared) -> None:
    plan = Blueprint.of(SingleTask, SingleTask.Config(network=(4,), tower=()), toy)
    settings = TrainingSettings(epochs=3, batch_rows=64, patience=9)
    balancer = Equal(toy.schema.task_names, [NoOptions()])
    models = [train(plan, balancer, settings, [r], toy, CPU, lambda rows: None)[0] for r in plan.replicas(2)]
    scores, seconds = score_test(plan, models, toy, CPU)
    assert seconds > 0
    for k, task in enumerate(toy.schema.tasks):
        deployable = models[k].deployable
        assert deployable is not None
        for checkpoint, column in ((deployable, scores.score), (models[k].best[k], scores.score_best)):
            stack = Stack(plan, [models[k].replica], CPU)
            stack.load([checkpoint.weights])
            expected = stack.predict(Matrices.of(toy.open_split("test"), stack.layout, CPU))[0, :, 0]
            np.testing.assert_array_equal(column[task.name], expected.numpy())


def hand_made() -> Scores:
    label = np.array([1, 1, 0, 0, 1, 0], np.float32)
    bought = np.array([1, 0, 0, 0, np.nan, 0], np.float32)
    score = np.array([0.9, 0.8, 0.3, 0.85, 0.7, 0.1], np.float32)
    flat = np.full(6, 0.5, np.float32)
    return Scores(
        cluster=np.array([1, 1, 1, 2, 2, 2]),
        label={"view": label, "buy": bought},
        score={"view": score, "buy": score},
        score_best={"view": score, "buy": flat},
    )


def test_metrics_by_hand() -> None:
    """view: 7 of 9 pairs in order. buy given view: rows 0 and 1 alone, in order, since row 4 has no label."""
    schema = Schema(fields=(), tasks=(Task(name="view"), Task(name="buy", given="view")))
    tables = test_metrics(schema, hand_made())
    assert set(tables) == {"test", "test_best", "test_given_view"}
    assert tables["test"]["view"]["auc"] == 7 / 9
    assert tables["test"]["buy"]["auc"] == 1.0
    assert tables["test_best"]["buy"]["auc"] == 0.5
    assert set(tables["test_given_view"]) == {"buy"}
    assert tables["test_given_view"]["buy"]["auc"] == 1.0
