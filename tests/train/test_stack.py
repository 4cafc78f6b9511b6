"""The replica axis must not change a number."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.train.blueprint import TABLES, Blueprint, Replica
from mtlbench.train.loop import train
from mtlbench.train.matrices import Matrices
from mtlbench.train.stack import Stack
from mtlbench.train.trained import Trained
from tests.methods.toys import NETWORKS
from tests.train.doubled import double
from tests.train.once import once_an_id

__all__ = ["double"]
CPU = torch.device("cpu")
SETTINGS = TrainingSettings(epochs=2, batch_rows=64)


def blueprint(prepared: Prepared, method: str, **options: Any) -> Blueprint:
    cls = NETWORKS[method]
    return Blueprint.of(cls, cls.Config(network=(8, 4), tower=(3,), **options), prepared)


def trained(plan: Blueprint, replicas: list[Replica], prepared: Prepared) -> list[Trained]:
    balancer = Equal(plan.schema.task_names, [NoOptions()] * len(replicas))
    return train(plan, balancer, SETTINGS, replicas, prepared, CPU, lambda rows: None)


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.3, "norm": "batch"},
        {"interaction": "cross", "pooling": "attention", "activation": "gelu"},
    ],
)
def test_options_of_all_methods_stack(toy: Prepared, options: dict[str, Any]) -> None:
    """The running figures of a batch normalisation are a replica's own, and are kept with its weights."""
    plan = blueprint(toy, "hard-sharing", **options)
    seeds = [plan.replicas(seed)[0] for seed in (3, 0)]
    for a, replica in zip(trained(plan, seeds, toy), seeds, strict=True):
        (b,) = trained(plan, [replica], toy)
        assert a.deployable is not None
        assert b.deployable is not None
        assert_close(a.deployable.weights, b.deployable.weights, rtol=1e-3, atol=5e-4)
        if "norm" in options:
            assert a.deployable.weights["bottom.1.variance"].ne(1).any()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("method", [name for name, cls in NETWORKS.items() if not cls.per_task])
def test_replica_in_a_stack_equals_the_same_seed_alone(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch, method: str, once: bool
) -> None:
    """With dropout on: masks, order, weights and stopping of a seed do not depend on its neighbours.

    Alone, a first layer may multiply once an id, however small it is.
    """
    if once:
        once_an_id(monkeypatch)
    plan = blueprint(toy, method, dropout=0.3)
    seeds = [plan.replicas(seed)[0] for seed in (3, 0, 7)]
    together = trained(plan, seeds, toy)
    alone = [trained(plan, [replica], toy)[0] for replica in seeds]
    for a, b in zip(together, alone, strict=True):
        assert a.deployable is not None
        assert b.deployable is not None
        assert a.deployable.step == b.deployable.step
        assert a.rows == b.rows
        assert_close(a.deployable.weights, b.deployable.weights, rtol=1e-6, atol=1e-8)


def test_single_task_models_of_one_kind_stack(toy: Prepared) -> None:
    """Replicas of different tasks in one stack learn what they learn alone."""
    plan = blueprint(toy, "single-task")
    pair = plan.replicas(1)[:2]  # click and buy, both binary
    together = trained(plan, pair, toy)
    for replica, a in zip(pair, together, strict=True):
        (b,) = trained(plan, [replica], toy)
        assert a.deployable is not None
        assert b.deployable is not None
        assert_close(a.deployable.weights, b.deployable.weights, rtol=1e-3, atol=5e-4)


def test_seeds_differ_and_repeat(toy: Prepared) -> None:
    plan = blueprint(toy, "hard-sharing")
    first, again, other = (trained(plan, plan.replicas(seed), toy)[0] for seed in (0, 0, 1))
    assert first.deployable is not None
    assert again.deployable is not None
    assert other.deployable is not None
    assert_close(first.deployable.weights, again.deployable.weights, rtol=0, atol=0)
    assert not torch.allclose(first.deployable.weights[TABLES], other.deployable.weights[TABLES])


def test_tables_of_a_replica_start_alike(toy: Prepared) -> None:
    """So that soft sharing starts as the single-task models do."""
    plan = blueprint(toy, "soft-sharing")
    soft = Stack(plan, plan.replicas(5), CPU)
    alone = blueprint(toy, "single-task")
    single = Stack(alone, alone.replicas(5)[:1], CPU)
    assert soft.tables.shape[:2] == (1, 3)
    for table in soft.tables[0]:
        assert_close(table, single.tables[0, 0])


def test_loaded_weights_give_the_scores_they_gave(toy: Prepared) -> None:
    plan = blueprint(toy, "mmoe")
    (outcome,) = trained(plan, plan.replicas(0), toy)
    assert outcome.deployable is not None
    stack = Stack(plan, plan.replicas(9), CPU)
    validation = Matrices.of(toy.open_split("validation"), stack.layout, CPU)
    before = stack.predict(validation)
    stack.load([outcome.deployable.weights])
    after = stack.predict(validation)
    stack.load([outcome.deployable.weights])
    assert_close(stack.predict(validation), after, rtol=0, atol=0)
    assert not torch.allclose(before, after)


def test_fields_of_one_vocabulary_share_rows(toy: Prepared) -> None:
    """The history holds items: its positions must read the item's rows, the user's must not."""
    plan = blueprint(toy, "hard-sharing")
    stack = Stack(plan, plan.replicas(0), CPU)
    user, item, *history = stack.layout.offsets.tolist()
    assert history == [item] * 3
    assert user != item
    assert stack.layout.rows == sum(toy.vocabularies.values())


def test_the_gradient_reaches_batch_rows_alone(toy: Prepared) -> None:
    plan = blueprint(toy, "hard-sharing")
    stack = Stack(plan, plan.replicas(0), CPU)
    data = Matrices.of(toy.open_split("train"), stack.layout, CPU)
    batch = data.batch(torch.arange(4).unsqueeze(0))
    embedded = stack.look_up(batch.ids)
    (table,) = embedded.tables
    assert_close(stack.tables.flatten(end_dim=2)[embedded.places[:, 0]], table)
    assert table.shape == (1, 4, 5, 8)


@pytest.fixture
def skewed(make_prepared: Callable[..., Prepared]) -> Prepared:
    return make_prepared(name="small", rows=70)


def test_fewer_rows_than_a_batch_still_train(skewed: Prepared) -> None:
    plan = blueprint(skewed, "hard-sharing")
    settings = TrainingSettings(epochs=3, batch_rows=512)
    balancer = Equal(skewed.schema.task_names, [NoOptions()])
    (outcome,) = train(plan, balancer, settings, plan.replicas(0), skewed, CPU, lambda rows: None)
    assert outcome.deployable is not None
    assert outcome.rows <= 3 * 70
