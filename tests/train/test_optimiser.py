"""Adam over a stack: what is stepped by rows is what is stepped whole."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.methods import joined
from mtlbench.methods.joined import Distinct
from mtlbench.methods.soft_sharing import SoftSharing
from mtlbench.train import optimiser
from mtlbench.train.blueprint import TABLES, Blueprint
from mtlbench.train.loop import train
from mtlbench.train.matrices import Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.stack import Stack
from mtlbench.train.trained import Trained
from tests.train.doubled import double
from tests.train.once import once_an_id

__all__ = ["double"]
CPU = torch.device("cpu")
SEEDS = (0, 1)


def plan_of(prepared: Prepared) -> Blueprint:
    return Blueprint.of(SoftSharing, SoftSharing.Config(network=(8,), tower=()), prepared)


def trained(prepared: Prepared, seeds: Sequence[int] = SEEDS, **settings: Any) -> list[Trained]:
    plan = plan_of(prepared)
    balancer = Equal(prepared.schema.task_names, [NoOptions()] * len(seeds))
    replicas = [plan.replicas(seed)[0] for seed in seeds]
    return train(plan, balancer, TrainingSettings(**settings), replicas, prepared, CPU, lambda rows: None)


def assert_learned_alike(a: Trained, b: Trained) -> Tensor:
    """Weights to a hundredth of a learning rate, steps and rows exactly; returns how far tables are apart."""
    assert a.deployable is not None
    assert b.deployable is not None
    assert (a.deployable.step, a.rows) == (b.deployable.step, b.rows)
    assert_close(a.deployable.weights, b.deployable.weights, rtol=0, atol=1e-4)
    return a.deployable.weights[TABLES] - b.deployable.weights[TABLES]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
def test_a_stack_stepped_by_rows_learns_what_one_stepped_whole_learns(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch, weight_decay: float
) -> None:
    """Several tables, replicas that leave, batches that miss rows for some steps."""
    how: dict[str, Any] = {"epochs": 12, "batch_rows": 4, "learning_rate": 0.01, "weight_decay": weight_decay}
    whole = trained(toy, **how)
    monkeypatch.setattr(optimiser, "SMALL", 0)
    by_rows = trained(toy, **how)
    for a, b in zip(whole, by_rows, strict=True):
        moved = assert_learned_alike(a, b)
        assert moved.any(), "the same to the last bit: nothing was stepped by rows"


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
def test_a_model_alone_that_multiplies_ids_once_learns_what_one_learns_that_multiplies_rows(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch, weight_decay: float
) -> None:
    """Soft sharing: a table a task, and a penalty that reads embeddings beside the networks."""
    how: dict[str, Any] = {"epochs": 4, "batch_rows": 32, "learning_rate": 0.01, "weight_decay": weight_decay}
    (by_row,) = trained(toy, (0,), **how)
    once_an_id(monkeypatch)
    once: list[bool] = []
    few = joined.few

    def noted(distinct: Distinct) -> dict[int, slice]:
        runs = few(distinct)
        once.append(len(runs) == 2)  # user and item
        return runs

    monkeypatch.setattr(joined, "few", noted)
    (by_id,) = trained(toy, (0,), **how)
    assert len(once) >= 10
    assert all(once)
    assert_learned_alike(by_row, by_id)


@pytest.mark.parametrize("each", [True, False])
def test_a_step_by_rows_leaves_the_rows_of_others_alone(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch, each: bool
) -> None:
    monkeypatch.setattr(optimiser, "SMALL", 0)
    plan = plan_of(toy)
    stack = Stack(plan, plan.replicas(0), CPU)
    adam = StackedAdam(stack, TrainingSettings(batch_rows=4))
    data = Matrices.of(toy.open_split("train"), stack.layout, CPU)
    before = stack.tables.clone()
    batch = data.batch(torch.arange(4).unsqueeze(0))
    embedded = adam.look_up(batch.ids, each=each)
    for leaf in embedded.tables if each else (embedded.rows,):
        assert leaf is not None
        leaf.grad = torch.ones_like(leaf)
    adam.step(embedded)
    touched = torch.zeros(stack.layout.rows, dtype=torch.bool)
    touched[batch.ids.flatten()] = True
    moved = (stack.tables != before).any(dim=-1)  # (replica, table, row)
    assert torch.equal(moved, touched.expand_as(moved))
