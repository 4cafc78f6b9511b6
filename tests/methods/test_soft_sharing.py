"""Soft sharing between its two limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.methods.base import Method
from mtlbench.methods.single_task import SingleTask
from mtlbench.methods.soft_sharing import SoftSharing
from mtlbench.train.blueprint import TABLES, Blueprint
from mtlbench.train.loop import train
from mtlbench.train.matrices import Matrices
from mtlbench.train.stack import Stack
from mtlbench.train.trained import Trained
from tests.methods.toys import TASKS, build, toy_inputs

CPU = torch.device("cpu")


def test_penalty_is_the_squared_distance_over_pairs() -> None:
    """Worked pair by pair: networks in full, embeddings on the batch's rows, towers not at all."""
    model, inputs = build(SoftSharing, strength=0.5), toy_inputs(tables=3)
    assert isinstance(model, SoftSharing)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
        for k, network in enumerate(model.networks.values()):
            for parameter in network.parameters():
                parameter.mul_(k + 1)
    names, expected = list(model.networks), torch.zeros(())
    mask = inputs.sequence_mask.unsqueeze(-1)
    for j in range(3):
        for k in range(j + 1, 3):
            pairs = zip(
                model.networks[names[j]].parameters(), model.networks[names[k]].parameters(), strict=True
            )
            expected = expected + sum(((a - b) ** 2).sum() for a, b in pairs)
            apart = ((inputs.categorical[j] - inputs.categorical[k]) ** 2).sum()
            apart = apart + (((inputs.sequence[j] - inputs.sequence[k]) * mask) ** 2).sum()
            expected = expected + apart / 5
    assert_close(model.penalty(inputs), 0.5 * expected, rtol=1e-5, atol=1e-4)


def test_interactions_are_a_tasks_own_and_held_together() -> None:
    """With crosses below the network: theirs are in the penalty, and one task's are not another's."""
    model, inputs = build(SoftSharing, TASKS[:2], interaction="cross", strength=1.0), toy_inputs(tables=2)
    assert isinstance(model, SoftSharing)
    before, start = model(inputs), model.penalty(inputs).item()
    with torch.no_grad():
        model.get_parameter("features.buy.crosses.0.weight").add_(0.5)
    after = model(inputs)
    assert torch.equal(after["click"], before["click"])
    assert not torch.allclose(after["buy"], before["buy"])
    assert model.penalty(inputs).item() - start == pytest.approx(100 * 0.25, rel=1e-4)  # a cross is 10 by 10


def test_all_tasks_start_from_one_draw() -> None:
    model = build(SoftSharing)
    alike = toy_inputs(tables=1)
    same = replace(alike, categorical=alike.categorical * 3, sequence=alike.sequence * 3)
    assert model.penalty(same).item() == pytest.approx(0, abs=1e-9)


def fit(cls: type[Method], prepared: Prepared, **options: object) -> tuple[Blueprint, list[Trained]]:
    config = cls.Config(network=(8, 4), tower=(3,), **options)  # type: ignore[arg-type]
    plan = Blueprint.of(cls, config, prepared)
    settings = TrainingSettings(epochs=3, batch_rows=50, patience=99)
    balancer = Equal(prepared.schema.task_names, [NoOptions()])
    outcomes = [
        train(plan, balancer, settings, [replica], prepared, CPU, lambda rows: None)[0]
        for replica in plan.replicas(4)
    ]
    return plan, outcomes


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_without_penalty_it_is_the_single_task_models(toy: Prepared, dropout: float) -> None:
    """Lambda 0: the checkpoint best for each task scores as that task's own model does."""
    soft_plan, (soft,) = fit(SoftSharing, toy, strength=0.0, dropout=dropout)
    single_plan, singles = fit(SingleTask, toy, dropout=dropout)
    for k, single in enumerate(singles):
        scores = []
        for plan, outcome, column in ((soft_plan, soft, k), (single_plan, single, 0)):
            stack = Stack(plan, [outcome.replica], CPU)
            stack.load([outcome.best[k].weights])
            matrices = Matrices.of(toy.open_split("validation"), stack.layout, CPU)
            scores.append(stack.predict(matrices)[0, :, column].numpy())
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


def test_a_strong_penalty_keeps_the_tasks_together(toy: Prepared) -> None:
    distances = {}
    for strength in (0.0, 1.0):
        _, (soft,) = fit(SoftSharing, toy, strength=strength)
        assert soft.deployable is not None
        weights = soft.deployable.weights
        first, second = (weights[f"networks.{TASKS[0].name}.0.weight"], weights["networks.rating.0.weight"])
        tables = weights[TABLES]
        distances[strength] = ((first - second).norm() + (tables[0] - tables[2]).norm()).item()
    assert distances[1.0] < 0.2 * distances[0.0]  # Adam keeps them a step apart
