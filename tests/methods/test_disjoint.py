"""Disjoint: the multi-task path with nothing shared must be the single-task models (A3 of the protocol)."""

from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.config import Benchmark, fill
from mtlbench.experiment.grid import plan
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.methods.disjoint import Disjoint
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.methods.single_task import SingleTask
from mtlbench.results import Result
from mtlbench.runs.execute import execute
from tests.methods.toys import TASKS, build, toy_inputs

NETWORK = {"network": [8, 4], "tower": [3]}


def results(home: Home, prepared: Prepared, options: dict[str, Any], **training: Any) -> list[Result]:
    """Single-task and disjoint, of one seed."""
    values = {
        "run": [{"method": m, "method_options": NETWORK | options} for m in ("single-task", "disjoint")],
        "seeds": [3],
        "training": {"batch_rows": 50, **training},
    }
    arms = plan(fill(Benchmark, values, "test"), prepared.schema, prepared.fingerprint)
    outcomes = [execute(home, prepared.name, arm, torch.device("cpu"), lambda rows: None)[0] for arm in arms]
    assert all(o.status == "done" for o in outcomes)
    return [o.result for o in outcomes if o.result]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_at_equal_steps_it_scores_as_single_task(home: Home, toy: Prepared, dropout: float) -> None:
    """Binary tasks and a regression, labels undefined on some rows, a sequence; with masks of dropout too."""
    once = {"epochs": 1, "evaluations_per_epoch": 1}
    single, disjoint = results(home, toy, {"dropout": dropout}, batch_rows=20, **once)
    assert all(v == {"deployable": 30, "best": 30} for v in disjoint.data["checkpoint"].values())
    for task, score in single.scores().score.items():
        np.testing.assert_allclose(disjoint.scores().score[task], score, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_with_stopping_each_task_keeps_the_same_checkpoint(home: Home, toy: Prepared, dropout: float) -> None:
    """What a task's own criterion chooses does not depend on how long the others go on."""
    options = {"dropout": dropout}
    single, disjoint = results(home, toy, options, epochs=12, learning_rate=0.02, patience=2)
    best = {task: at["best"] for task, at in disjoint.data["checkpoint"].items()}
    assert best == {task: at["best"] for task, at in single.data["checkpoint"].items()}
    assert len({*best.values()}) > 1, "all tasks peak together: the test shows nothing"
    for task, score in single.scores().score_best.items():
        np.testing.assert_allclose(disjoint.scores().score_best[task], score, atol=1e-5)


def test_all_tasks_start_from_the_draw_of_the_single_task_models() -> None:
    alone = build(SingleTask, TASKS[:1]).state_dict()
    together = build(Disjoint)
    assert isinstance(together, Disjoint)
    for model in together.models.values():
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(weight, alone[name.replace("own", "click")])


def test_no_task_reads_another_ones_table_or_weights() -> None:
    model, inputs = build(Disjoint), toy_inputs(tables=3)
    before = model(inputs)
    inputs.categorical[1].add_(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(float("buy" in name))
    after = model(inputs)
    changed = [task for task in before if not torch.equal(before[task], after[task])]
    assert changed == ["buy"]


def test_with_one_task_it_is_hard_sharing() -> None:
    inputs = toy_inputs()
    alone, shared = build(Disjoint, TASKS[:1]), build(HardSharing, TASKS[:1])
    torch.testing.assert_close(alone(inputs)["click"], shared(inputs)["click"])
