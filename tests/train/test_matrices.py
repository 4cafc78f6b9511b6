"""Batches: the same whether the columns are on the device or stay in files that memory does not hold."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlbench.balancing.equal import Equal
from mtlbench.bench.train.log import generate
from mtlbench.config import TrainingSettings
from mtlbench.home import Home
from mtlbench.load import Prepared, Split
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.train import matrices
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from mtlbench.train.matrices import Batch, Layout, Matrices, ahead
from mtlbench.train.trained import Trained

CPU = torch.device("cpu")
CUDA = pytest.param("cuda", marks=pytest.mark.gpu)


def split(*, grouped: bool) -> Split:
    """50 rows with columns of every kind, which grouped rows share by fives."""
    random = np.random.default_rng(0)
    groups = 10 if grouped else 50
    return Split(
        categorical=random.integers(0, 9, (50, 2), dtype=np.int32),
        numeric=random.normal(size=(50, 3)).astype(np.float32),
        labels=random.integers(0, 2, (50, 2)).astype(np.float32),
        group_categorical=random.integers(0, 9, (groups, 1), dtype=np.int32),
        group_numeric=random.normal(size=(groups, 2)).astype(np.float32),
        sequence=random.integers(0, 9, (groups, 4), dtype=np.int32),
        cluster=np.arange(groups),
        group=np.arange(50, dtype=np.int32) // 5 if grouped else None,
    )


def opened(device: torch.device, *, grouped: bool, budget: float) -> Matrices:
    layout = Layout(torch.arange(7, device=device) * 9, 63)
    return Matrices.of(split(grouped=grouped), layout, device, budget)


def assert_same(one: Batch, other: Batch) -> None:
    for name in ("ids", "sequence_mask", "numeric", "labels"):
        assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("where", ["cpu", CUDA])
def test_rows_gathered_on_the_host_make_the_same_batches(where: str, grouped: bool) -> None:
    if where == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device(where)
    resident = opened(device, grouped=grouped, budget=1e9)
    host = opened(device, grouped=grouped, budget=0)
    assert resident.resident
    assert not host.resident
    assert host.labels.device == CPU
    steps = [torch.randint(50, (2, 8)) for _ in range(20)]
    for rows, gathered in zip(steps, host.fetched(iter(steps)), strict=True):
        assert isinstance(gathered, tuple)
        batch = host.batch(gathered)
        assert batch.ids.device.type == where
        assert_same(batch, resident.batch(rows))
        assert_same(batch, host.batch(rows))
    assert_same(resident.batch(slice(3, 9)), host.batch(slice(3, 9)))


def test_what_is_as_large_as_the_budget_is_resident() -> None:
    size = 4 * (50 * (2 + 3 + 2) + 10 * (1 + 2 + 4) + 50)
    assert opened(CPU, grouped=True, budget=size).resident
    assert not opened(CPU, grouped=True, budget=size - 1).resident


def test_a_system_that_does_not_say_its_memory_keeps_all_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows."""
    monkeypatch.delattr(os, "sysconf")
    layout = Layout(torch.arange(7) * 9, 63)
    assert Matrices.of(split(grouped=False), layout, CPU).resident


def learned(toy: Prepared) -> list[Trained]:
    """Three seeds, which stop one after another."""
    plan = Blueprint.of(HardSharing, HardSharing.Config(network=(8,), tower=()), toy)
    settings = TrainingSettings(epochs=30, batch_rows=64, learning_rate=0.05, patience=1)
    replicas = [plan.replicas(seed)[0] for seed in range(3)]
    balancer = Equal(toy.schema.task_names, [Equal.Config()] * 3)
    return train(plan, balancer, settings, replicas, toy, CPU, lambda rows: None)


def test_training_from_the_host_is_the_same_to_the_last_bit(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = learned(toy)
    assert len({outcome.rows for outcome in expected}) > 1, "all stopped together: the test shows less"
    monkeypatch.setattr(matrices, "SHARE", 0)
    for found, one in zip(learned(toy), expected, strict=True):
        assert found.deployable is not None
        assert one.deployable is not None
        assert found.deployable.step == one.deployable.step
        assert_close(found.deployable.weights, one.deployable.weights, rtol=0, atol=0)


def test_one_item_is_made_ahead_and_no_more() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for i in range(5):
            made.append(i)
            if i == 1:
                second.set()
            yield i

    coming = ahead(items())
    assert next(coming) == 0
    assert second.wait(timeout=30)
    assert made == [0, 1]
    assert list(coming) == [1, 2, 3, 4]


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    coming = ahead(items())
    assert [next(coming), next(coming)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


def test_the_thread_ends_with_whoever_wanted_the_items() -> None:
    before = threading.active_count()
    coming = ahead(iter(range(5)))
    next(coming)
    assert threading.active_count() == before + 1
    del coming
    assert threading.active_count() == before


UNDER_A_CAP = """
import resource
import sys
from pathlib import Path

import numpy as np
import torch

from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.train.loop import train
from mtlbench.train.blueprint import Blueprint

def learn(prepared: Prepared) -> None:
    plan = Blueprint.of(HardSharing, HardSharing.Config(network=(8,), tower=()), prepared)
    settings = TrainingSettings(epochs=1, batch_rows=2048, shuffle_rows=32_768)
    balancer = Equal(prepared.schema.task_names, [Equal.Config()])
    (outcome,) = train(
        plan, balancer, settings, plan.replicas(0), prepared, torch.device("cpu"), lambda rows: None
    )
    assert outcome.failure is None and outcome.deployable is not None

small, large = (open_prepared(Home(Path(folder)), "generated") for folder in sys.argv[1:3])
learn(small)  # so that all is loaded before memory is counted
status = Path("/proc/self/status").read_text()
used = 1024 * int(status.split("VmData:")[1].split()[0])
headroom = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (used + headroom, used + headroom))
learn(large)
try:
    np.array(large.open_split("train").numeric)
except MemoryError:
    print("trained, where a copy has no room")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is known to cap so")
def test_an_epoch_is_trained_in_less_memory_than_its_rows_take(tmp_path: Path) -> None:
    """Memory that is allocated is capped, files that are mapped are not; half of the numbers do not fit."""
    small = generate(Home(tmp_path / "small"), rows=5_000, seed=0, ids=1_000)
    large = generate(Home(tmp_path / "large"), rows=300_000, seed=0, ids=1_000)
    headroom = large.open_split("train").numeric.nbytes // 2
    homes = [str(prepared.path.parents[2]) for prepared in (small, large)]
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_CAP, *homes, str(headroom)], capture_output=True, text=True
    )
    assert done.stdout == "trained, where a copy has no room\n", done.stderr
