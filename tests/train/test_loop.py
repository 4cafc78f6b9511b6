"""The loop: when it scores, what it keeps, when it stops, and what it never opens."""

import shutil
from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.balancing.base import Balancer, NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import Schedule, train
from mtlbench.train.trained import Trained

CPU = torch.device("cpu")


def run(
    prepared: Prepared, *, seeds: tuple[int, ...] = (0,), balancer: Balancer | None = None, **settings: Any
) -> list[Trained]:
    plan = Blueprint.of(HardSharing, HardSharing.Config(network=(8,), tower=()), prepared)
    replicas = [plan.replicas(seed)[0] for seed in seeds]
    return train(
        plan,
        balancer or Equal(prepared.schema.task_names, [NoOptions()] * len(seeds)),
        TrainingSettings(**{"batch_rows": 64, **settings}),
        replicas,
        prepared,
        CPU,
        lambda rows: None,
    )


def test_schedule_scores_twice_an_epoch_and_at_the_very_end() -> None:
    schedule = Schedule.of(1000, TrainingSettings(epochs=3, batch_rows=100, evaluations_per_epoch=2))
    assert (schedule.steps, schedule.total) == (10, 30)
    assert sorted(schedule.evaluations) == [5, 10, 15, 20, 25, 30]


def test_training_never_opens_the_test_split(toy: Prepared) -> None:
    shutil.rmtree(toy.path / "test")
    (outcome,) = run(toy, epochs=1)
    assert outcome.deployable is not None


def test_checkpoints_are_the_best_evaluations(toy: Prepared) -> None:
    (outcome,) = run(toy, epochs=4, patience=99)
    assert outcome.deployable is not None
    deltas = {"click": 0.001, "buy": 0.001, "rating": 0.005}
    criteria = [np.mean([e["validation"][t] / d for t, d in deltas.items()]) for e in outcome.history]
    best = outcome.history[int(np.argmax(criteria))]
    assert outcome.deployable.step == best["step"]
    for k, task in enumerate(deltas):
        values = [e["validation"][task] for e in outcome.history]
        assert outcome.best[k].step == outcome.history[int(np.argmax(values))]["step"]
        assert outcome.best[k].criterion == max(values)


def test_patience_stops_a_replica_and_leaves_the_others(toy: Prepared) -> None:
    outcomes = run(toy, seeds=(0, 1, 2, 3), epochs=30, learning_rate=0.05, patience=2)
    for outcome in outcomes:
        assert outcome.deployable is not None
        last = outcome.history[-1]["step"]
        chosen = [outcome.deployable.step, *(best.step for best in outcome.best.values())]
        later = [e for e in outcome.history if e["step"] > max(chosen)]
        assert len(later) == 2 or last == 30 * (600 // 64)
    assert len({outcome.rows for outcome in outcomes}) > 1, "all stopped together: the test shows nothing"


def test_each_criterion_is_settled_by_its_own_patience(toy: Prepared) -> None:
    """What a criterion keeps is what it would have kept had training stopped for it alone."""
    patience = 2
    differ = False
    for outcome in run(toy, seeds=(0, 1, 2, 3), epochs=30, learning_rate=0.05, patience=patience):
        for k, task in enumerate(("click", "buy", "rating")):
            values = [e["validation"][task] for e in outcome.history]
            kept = 0
            for i in range(1, len(values)):
                if i - kept > patience:
                    break
                kept = i if values[i] > values[kept] else kept
            assert outcome.best[k].step == outcome.history[kept]["step"]
            differ |= values[kept] < max(values)
    assert differ, "no criterion was settled before the end: the test shows nothing"


class _Poison(Balancer):
    """Makes one replica's update infinite."""

    def weights(self, losses: torch.Tensor) -> torch.Tensor:
        weights = torch.ones_like(losses)
        if len(losses) == 3:
            weights[1] = float("inf")
        return weights


def test_a_loss_that_is_no_longer_finite_fails_alone(toy: Prepared) -> None:
    poison = _Poison(("click",), [NoOptions()] * 3)
    fine, broken, also_fine = run(toy, seeds=(0, 1, 2), epochs=1, balancer=poison)
    assert broken.failure is not None
    assert "finite" in broken.failure
    assert fine.failure is None
    assert also_fine.failure is None
    (alone,) = run(toy, seeds=(0,), epochs=1)
    assert fine.deployable is not None
    assert alone.deployable is not None
    assert fine.deployable.criterion == pytest.approx(alone.deployable.criterion, rel=1e-5)


def test_progress_adds_up_to_all_rows_even_with_early_stops(toy: Prepared) -> None:
    plan = Blueprint.of(HardSharing, HardSharing.Config(network=(8,), tower=()), toy)
    seen: list[int] = []
    settings = TrainingSettings(epochs=10, batch_rows=60, learning_rate=0.05, patience=1)
    replicas = [plan.replicas(seed)[0] for seed in (0, 1)]
    balancer = Equal(toy.schema.task_names, [NoOptions()] * 2)
    train(plan, balancer, settings, replicas, toy, CPU, seen.append)
    assert sum(seen) == 2 * 10 * 600
