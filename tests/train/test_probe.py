"""What is seen inside a network is right by another way, and seen without touching anything."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.train import loop
from mtlbench.train.blueprint import Blueprint, Replica
from mtlbench.train.loop import Schedule, train
from mtlbench.train.matrices import Batch, Matrices
from mtlbench.train.probe import Probe
from mtlbench.train.stack import Embedded, Stack
from mtlbench.train.trained import Trained
from tests.methods.toys import NETWORKS

CPU = torch.device("cpu")
LOOKS = 16
RATE = 0.5


def blueprint(prepared: Prepared, method: str, **options: Any) -> Blueprint:
    cls = NETWORKS[method]
    return Blueprint.of(cls, cls.Config(network=(8, 4), tower=(3,), **options), prepared)


def stack_of(prepared: Prepared, method: str, *seeds: int) -> Stack:
    """Embeddings as large as they become: the gradients on them are then no matter of rounding."""
    plan = blueprint(prepared, method)
    stack = Stack(plan, [plan.replicas(seed)[0] for seed in seeds], CPU)
    stack.tables *= 50
    return stack


def data_of(prepared: Prepared, stack: Stack) -> Matrices:
    return Matrices.of(prepared.open_split("train"), stack.layout, CPU)


def trained(prepared: Prepared, method: str, **options: Any) -> list[Trained]:
    plan = blueprint(prepared, method, **options)
    balancer = Equal(prepared.schema.task_names, [NoOptions()] * 2)
    settings = TrainingSettings(epochs=3, batch_rows=64)
    replicas: list[Replica] = [plan.replicas(seed)[0] for seed in (0, 1)]
    if plan.method.per_task:
        balancer = Equal(("click",), [NoOptions()] * 2)
    return train(plan, balancer, settings, replicas, prepared, CPU, lambda rows: None)


@pytest.mark.parametrize("method", ["hard-sharing", "mmoe", "soft-sharing"])
def test_looking_changes_no_trained_number(
    toy: Prepared, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"dropout": 0.3, "norm": "batch"}
    torch.manual_seed(7)
    before = torch.get_rng_state()
    looked = trained(toy, method, **options)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(loop, "MOST_LOOKS", 0)
    blind = trained(toy, method, **options)
    assert any("diagnostics" in entry for one in looked for entry in one.history)
    assert not any("diagnostics" in entry for one in blind for entry in one.history)
    for one, other in zip(looked, blind, strict=True):
        assert one.deployable is not None
        assert other.deployable is not None
        assert one.rows == other.rows
        for name, weight in one.deployable.weights.items():
            assert torch.equal(weight, other.deployable.weights[name]), name


@pytest.mark.parametrize(("evaluations", "looks"), [(1, 1), (8, 8), (16, 16), (17, 16), (100, 16)])
def test_a_run_is_looked_at_a_bounded_number_of_times(evaluations: int, looks: int) -> None:
    settings = TrainingSettings(epochs=1, batch_rows=1, evaluations_per_epoch=evaluations)
    schedule = Schedule.of(1000, settings)
    assert len(schedule.evaluations) == evaluations
    assert len(schedule.looks) == looks
    assert schedule.looks <= schedule.evaluations
    assert max(schedule.looks) == 1000


def test_even_gates_have_entropy_1_whatever_a_task_cannot_see(toy: Prepared) -> None:
    stack = stack_of(toy, "cgc", 0)
    for name, weight in stack.parameters.items():
        if "gates" in name:
            weight.detach().zero_()
    found = Probe(stack, data_of(toy, stack), RATE, LOOKS).look(0, 0)["gates"]
    assert found["entropy"] == dict.fromkeys(toy.schema.task_names, 1.0)
    assert None in found["utilisation"]["click"]


def test_units_that_are_shut_are_found(toy: Prepared) -> None:
    stack = stack_of(toy, "hard-sharing", 0, 1)
    probe = Probe(stack, data_of(toy, stack), RATE, LOOKS)
    before = [probe.look(i, 0)["dead_units"]["share"] for i in (0, 1)]
    (name,) = (n for n in stack.parameters if n.startswith("method.towers.buy") and n.endswith("1.bias"))
    with torch.no_grad():
        stack.parameters[name][1] = -1e6
    after = [probe.look(i, 0)["dead_units"] for i in (0, 1)]
    assert after[0]["share"] == before[0]
    assert after[1]["share"] > before[1]
    assert after[1]["parts"]["towers.buy"] == 1.0


def everything(stack: Stack, data: Matrices) -> tuple[Batch, Embedded]:
    """All train rows as one batch of the training loop."""
    batch = data.batch(torch.arange(len(data)).unsqueeze(0))
    embedded = stack.look_up(batch.ids)
    for table in embedded.tables:
        table.requires_grad_()
    return batch, embedded


def test_gradients_and_affinity_are_those_of_real_steps(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the loop's own losses (vmapped, in training mode) and a step taken on the stack itself."""
    monkeypatch.setattr("mtlbench.train.probe.PROBE_ROWS", 600)
    stack = stack_of(toy, "mmoe", 3)
    data = data_of(toy, stack)
    found = Probe(stack, data, RATE, LOOKS).look(0, 0)
    batch, embedded = everything(stack, data)
    shared = [n for n in stack.parameters if "experts" in n]
    leaves = [*(stack.parameters[n] for n in shared), *embedded.tables]
    losses, _ = stack.losses(batch, embedded, step=1)
    dense, tables = [], []
    for loss in losses:
        *of_dense, of_rows = torch.autograd.grad(loss.sum(), leaves, retain_graph=True)
        table = torch.zeros_like(stack.tables).flatten(end_dim=2)
        table.index_add_(0, embedded.places.flatten(), of_rows.flatten(end_dim=2))
        dense.append(of_dense)
        tables.append(table.view_as(stack.tables))
    names = toy.schema.task_names
    rows = torch.stack([torch.cat([g.flatten() for g in one]) for one in dense])
    expected = {"dense": rows, "embedded": torch.stack([t.flatten() for t in tables])}
    for part, gradients in expected.items():
        told = found["gradients"][part]
        norms = torch.tensor([told["norms"][n] for n in names])
        assert_close(norms, gradients.norm(dim=1), rtol=1e-4, atol=1e-7)
        cosines = torch.nn.functional.cosine_similarity(gradients[:, None], gradients[None], dim=2)
        assert_close(torch.tensor(told["cosines"]), cosines, rtol=1e-3, atol=1e-4)
        below = (cosines < 0).float().sum() / 6  # of three pairs, each twice
        assert told["conflict_share"] == pytest.approx(float(below), abs=1e-5)
    affinity = torch.empty(3, 3)
    for i in range(3):
        after = stack_of(toy, "mmoe", 3)
        with torch.no_grad():
            for name, gradient in zip(shared, dense[i], strict=True):
                after.parameters[name] -= RATE * gradient
            after.tables -= RATE * tables[i]
            stepped, _ = after.losses(batch, after.look_up(batch.ids), step=1)
        for j in range(3):
            affinity[i, j] = 1 - stepped[j].item() / losses[j].item()
    assert affinity.diagonal().max() > 0.1, "no step helps its task: the test shows nothing"
    assert_close(torch.tensor(found["affinity"]), affinity, rtol=1e-3, atol=2e-6)


def test_each_look_of_a_seed_is_at_other_rows_whatever_the_method(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the mean over a run's looks would keep the noise of the one draw."""
    monkeypatch.setattr("mtlbench.train.probe.PROBE_ROWS", 100)

    batch, seen = Matrices.batch, list[Tensor]()

    def noted(data: Matrices, rows: Tensor) -> Batch:
        seen.append(rows)
        return batch(data, rows)

    monkeypatch.setattr(Matrices, "batch", noted)

    def looks(method: str, seed: int) -> list[Tensor]:
        stack = stack_of(toy, method, seed)
        probe = Probe(stack, data_of(toy, stack), RATE, LOOKS)
        for number in range(3):
            probe.look(0, number)
        return [seen.pop() for _ in range(3)]

    first, again, other = looks("mmoe", 1), looks("hard-sharing", 1), looks("mmoe", 2)
    assert not seen
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    draws = [tuple(rows.tolist()) for rows in (*first, *other)]
    assert len(set(draws)) == 6


def with_buys(data: Matrices, number: int) -> Matrices:
    """The same rows, of which the first so many are bought."""
    labels = data.labels.clone()
    labels[:, 1] = 0
    labels[:number, 1] = 1
    return replace(data, labels=labels)


def test_a_task_with_too_few_positives_has_no_cosine_and_no_affinity(toy: Prepared) -> None:
    for number, none in ((19, True), (20, False)):
        stack = stack_of(toy, "mmoe", 0)
        data = with_buys(data_of(toy, stack), number)
        found = Probe(stack, data, RATE, LOOKS).look(0, 0)
        assert found["probe"]["rows"] == len(data)
        assert found["probe"]["positives"]["buy"] == number
        assert "rating" not in found["probe"]["positives"]
        cosines = found["gradients"]["dense"]["cosines"]
        for matrix in (cosines, found["affinity"]):
            assert [row[1] is None for row in matrix] == [none] * 3
            assert [value is None for value in matrix[1]] == [none] * 3
            assert matrix[0][0] is not None


def test_a_rare_task_has_more_rows_at_fewer_looks(toy: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 expected of 64 positives take half of the rows."""
    monkeypatch.setattr("mtlbench.train.probe.PROBE_ROWS", 100)
    stack = stack_of(toy, "mmoe", 0)
    data = with_buys(data_of(toy, stack), 64)
    probe = Probe(stack, data, RATE, LOOKS)
    looks = [probe.look(0, number) for number in range(8)]
    many = -(-len(data) // 2)
    every = -(-many // 100)
    assert [look["probe"]["rows"] for look in looks] == [100 if i % every else many for i in range(8)]
    assert ["gradients" in look for look in looks] == [i % every == 0 for i in range(8)]
    monkeypatch.setattr("mtlbench.train.probe.MOST_ROWS", many - 1)
    assert Probe(stack, data, RATE, LOOKS).look(0, 0)["probe"]["rows"] == 100, "in vain"


def test_a_replica_looks_the_same_alone_and_in_a_stack(toy: Prepared) -> None:
    together, alone = stack_of(toy, "mmoe", 0, 1), stack_of(toy, "mmoe", 1)
    seen = [Probe(s, data_of(toy, s), RATE, LOOKS).look(i, 0) for s, i in ((together, 1), (alone, 0))]
    assert seen[0] == seen[1]


def test_points_of_a_frontier_are_looked_at_as_often_as_each_alone(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas of one seed in a stack: each look of each is at the rows that it would be at alone."""
    monkeypatch.setattr("mtlbench.train.probe.PROBE_ROWS", 100)
    monkeypatch.setattr("mtlbench.train.probe.EXPECTED", 100)
    plan = blueprint(toy, "mmoe")
    settings = TrainingSettings(epochs=3, batch_rows=64, patience=99)

    def seen(replicas: list[Replica]) -> list[list[tuple[dict[str, Any], bool]]]:
        balancer = Equal(toy.schema.task_names, [NoOptions()] * len(replicas))
        outcomes = train(plan, balancer, settings, replicas, toy, CPU, lambda rows: None)
        looks = [[entry["diagnostics"] for entry in outcome.history] for outcome in outcomes]
        return [[(look["probe"], "gradients" in look) for look in one] for one in looks]

    (alone,) = seen(plan.replicas(0))
    assert len({json.dumps(look) for look in alone}) == 6, "the looks are alike: the test shows nothing"
    assert len({between for _, between in alone}) == 2, "all looks are at gradients: the test shows less"
    assert seen(2 * plan.replicas(0)) == [alone, alone]


@pytest.mark.parametrize(
    ("method", "sections"),
    [
        ("single-task", {"dead_units"}),
        ("hard-sharing", {"dead_units", "gradients", "affinity"}),
        ("mmoe", {"dead_units", "gates", "gradients", "affinity"}),
        ("soft-sharing", {"dead_units"}),
        ("embedding-sharing", {"dead_units", "gradients", "affinity"}),
    ],
)
def test_only_what_applies_is_told(toy: Prepared, method: str, sections: set[str]) -> None:
    for outcome in trained(toy, method):
        for entry in outcome.history:
            assert set(entry["diagnostics"]) == {"probe", *sections}
            json.dumps(entry, allow_nan=False)
    gradients = outcome.history[-1]["diagnostics"].get("gradients", {})
    if method == "embedding-sharing":
        assert list(gradients) == ["embedded"]


@pytest.mark.parametrize("method", NETWORKS)
def test_every_method_can_be_looked_at(toy: Prepared, method: str) -> None:
    cls, schema = NETWORKS[method], toy.schema
    if "regression" not in cls.needs.kinds:
        schema = replace(schema, tasks=tuple(task for task in schema.tasks if task.kind == "binary"))
    config = cls.Config(network=(8, 4), tower=(3,), pooling="attention")
    plan = Blueprint(cls, config, schema, toy.vocabularies)
    stack = Stack(plan, plan.replicas(0)[:1], CPU)
    found = Probe(stack, data_of(toy, stack), RATE, LOOKS).look(0, 0)
    assert 0 <= found["dead_units"]["share"] <= 1
    for share in found.get("gates", {}).get("utilisation", {}).values():
        assert sum(one for one in share if one is not None) == pytest.approx(1, abs=1e-4)
    for matrix in found.get("task_matrices", {}).values():
        assert len(matrix) == len(matrix[0])
    assert len(json.dumps(found, allow_nan=False)) < 4000


def test_a_run_of_one_look_is_not_looked_at_for_longer_than_one_look_may_take(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtlbench.train.probe.PROBE_ROWS", 100)
    stack = stack_of(toy, "mmoe", 3)
    data = data_of(toy, stack)
    rows = [Probe(stack, data, RATE, looks).look(0, 0)["probe"]["rows"] for looks in (1, LOOKS)]
    assert rows[0] == 100
    assert rows[1] > 100, "no task is rare: the test shows nothing"
