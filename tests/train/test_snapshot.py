"""A training that was interrupted goes on as if nothing had happened."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.methods.mmoe import MMoE
from mtlbench.registry import lookup
from mtlbench.train import optimiser, snapshot
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from mtlbench.train.randomness import generator
from mtlbench.train.snapshot import Snapshots
from mtlbench.train.trained import Trained

CPU = torch.device("cpu")
SMALL = {"network": (8,), "tower": ()}
TIMES = {"began", "seconds"}


class PowerCut(BaseException):
    """Nothing catches it."""


@pytest.fixture(autouse=True)
def at_every_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(snapshot.EVERY, "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


def run(
    toy: Prepared,
    folder: Path | None,
    *,
    method: Any = HardSharing,
    options: dict[str, Any] | None = None,
    balancer: str = "equal",
    told: dict[str, Any] | None = None,
    seeds: tuple[int, ...] = (0, 1),
    progress: Callable[[int], None] = lambda rows: None,
    **settings: Any,
) -> list[Trained]:
    plan = Blueprint.of(method, method.Config(**{**SMALL, **(options or {})}), toy)
    kind: type[Balancer] = lookup(BALANCERS, balancer, "balancer").load()
    draws = [generator(seed, "balancer") for seed in seeds]
    balance = kind(toy.schema.task_names, [kind.Config(**(told or {}))] * len(seeds), draws)
    return train(
        plan,
        balance,
        TrainingSettings(**{"batch_rows": 64, "epochs": 3, **settings}),
        [plan.replicas(seed)[0] for seed in seeds],
        toy,
        CPU,
        progress,
        Snapshots(folder),
    )


def cut_after(evaluations: int) -> Callable[[int], None]:
    """Power fails at a report of progress, which comes before the evaluation of the same step."""
    calls = 0

    def progress(rows: int) -> None:
        nonlocal calls
        calls += rows > 0
        if calls > evaluations:
            raise PowerCut

    return progress


def assert_same(one: list[Trained], other: list[Trained]) -> None:
    """To the last bit, but for how long it took."""
    for a, b in zip(one, other, strict=True):
        assert {**a.plain(), "seconds": 0} == {**b.plain(), "seconds": 0}
        assert a.tensors().keys() == b.tensors().keys()
        for name, tensor in a.tensors().items():
            torch.testing.assert_close(tensor, b.tensors()[name], rtol=0, atol=0)


def interrupted(toy: Prepared, folder: Path, *after: int, **how: Any) -> list[Trained]:
    for evaluations in after:
        with pytest.raises(PowerCut):
            run(toy, folder, progress=cut_after(evaluations), **how)
    return run(toy, folder, **how)


@pytest.mark.parametrize(
    ("balancer", "told"), [*((name, {}) for name in BALANCERS), ("nash-mtl", {"update_every": 3})]
)
def test_every_balancer_goes_on_where_it_was(
    toy: Prepared, folder: Path, balancer: str, told: dict[str, Any]
) -> None:
    """Its memory, and where its generator stood, are a part of the snapshot.

    That is of the step 4, which is no multiple of 3: what is done at every third step goes on in step.
    """
    how: dict[str, Any] = {"balancer": balancer, "told": told, "patience": 99}
    assert_same(run(toy, None, **how), interrupted(toy, folder, 1, **how))


@pytest.mark.parametrize("after", [(1,), (2, 1), (3, 1, 1), (5,)])
def test_as_often_as_one_likes(toy: Prepared, folder: Path, after: tuple[int, ...]) -> None:
    options = {"dropout": 0.2, "norm": "batch"}
    how: dict[str, Any] = {"method": MMoE, "options": options, "patience": 99}
    assert_same(run(toy, None, **how), interrupted(toy, folder, *after, **how))


def test_replicas_that_have_stopped_stay_so(toy: Prepared, folder: Path) -> None:
    how: dict[str, Any] = {"seeds": (0, 1, 2, 3), "patience": 1, "epochs": 8, "learning_rate": 0.02}
    whole = run(toy, None, **how)
    lengths = {len(outcome.history) for outcome in whole}
    assert len(lengths) > 1, "all stop together, which shows nothing"
    assert_same(whole, interrupted(toy, folder, min(lengths) + 1, **how))


def test_what_was_over_is_not_trained_again(toy: Prepared, folder: Path) -> None:
    first = run(toy, folder, patience=1, epochs=8, learning_rate=0.02)
    rows: list[int] = []
    again = run(toy, folder, patience=1, epochs=8, learning_rate=0.02, progress=rows.append)
    assert_same(first, again)
    assert [outcome.seconds for outcome in again] == [outcome.seconds for outcome in first]
    assert sum(rows) == 2 * 8 * (600 // 64) * 64


def test_the_rows_of_an_interrupted_training_count_once(toy: Prepared, folder: Path) -> None:
    with pytest.raises(PowerCut):
        run(toy, folder, progress=cut_after(2))
    rows: list[int] = []
    run(toy, folder, progress=rows.append, patience=99)
    assert sum(rows) == 2 * 3 * (600 // 64) * 64


def test_one_snapshot_is_kept_and_it_is_bounded(toy: Prepared, folder: Path) -> None:
    """Weights, two moments, and a checkpoint for each criterion."""
    (outcome, _) = run(toy, folder, patience=99)
    (kept,) = folder.iterdir()
    assert outcome.deployable is not None
    one = sum(t.numel() * t.element_size() for t in outcome.deployable.weights.values())
    most = 2 * one * (3 + 1 + len(toy.schema.tasks))
    assert (kept / "tensors.safetensors").stat().st_size < 1.2 * most


def test_a_short_training_has_none(toy: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(snapshot.EVERY)
    run(toy, folder)
    assert not folder.exists()


def test_a_damaged_snapshot_or_one_of_another_machine_is_not_believed(
    toy: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed: list[int] = []
    whole = run(toy, None, patience=99, progress=undisturbed.append)
    for harm in ("damage", "machine"):
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(PowerCut):
            run(toy, folder, progress=cut_after(3), patience=99)
        (kept,) = folder.iterdir()
        with monkeypatch.context() as patch:
            if harm == "damage":
                file = kept / "tensors.safetensors"
                file.write_bytes(file.read_bytes()[:-1] + b"?")
            else:
                patch.setattr(snapshot, "_machine", lambda device: ["another"])
            reports: list[int] = []
            again = run(toy, folder, patience=99, progress=reports.append)
        assert_same(whole, again)
        assert reports == undisturbed, "it did not begin anew"


def test_tables_that_are_stepped_by_rows_go_on_where_they_were(
    toy: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two replicas, one of which stops before the other; all rows are settled when a snapshot is made."""
    monkeypatch.setattr(optimiser, "SMALL", 0)
    how: dict[str, Any] = {"epochs": 20, "learning_rate": 0.05, "batch_rows": 32}
    whole = run(toy, None, **how)
    assert len({outcome.rows for outcome in whole}) > 1, "both stopped together: the test shows nothing"
    assert_same(interrupted(toy, folder, 1, 4, **how), whole)
