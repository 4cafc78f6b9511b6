"""Worker processes: where they are, what they report, and what happens when one dies."""

import multiprocessing as mp
import os
import signal
from collections.abc import Callable, Sequence

import pytest
import torch

from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.errors import UsageError
from mtlbench.experiment.grid import plan
from mtlbench.home import Home
from mtlbench.launch.local import Local, Pool, places
from mtlbench.load import Prepared
from mtlbench.runs.outcome import Outcome

CPU = torch.device("cpu")


def jobs_of(prepared: Prepared, seeds: int, **training: float) -> list[list[RunSpec]]:
    values = {
        "run": [{"method": "hard-sharing", "method_options": {"network": [4], "tower": []}}],
        "training": {"epochs": 1, "batch_rows": 64, **training},
        "seeds": seeds,
    }
    (arm,) = plan(fill(Benchmark, values, "x"), prepared.schema, prepared.fingerprint)
    return [[spec] for spec in arm]


def test_processes_give_what_one_process_gives(home: Home, toy: Prepared) -> None:
    metrics: dict[int, dict[int, object]] = {}
    for workers in (1, 2):
        ended: list[Outcome] = []
        rows: list[int] = []
        Local().launch(home, "toy", jobs_of(toy, 3), CPU, workers, rows.append, ended.extend, again=True)
        assert {o.status for o in ended} == {"done"}
        metrics[workers] = {o.spec.seed: o.result.data["metrics"] for o in ended if o.result}
    assert metrics[1] == metrics[2]
    assert not mp.active_children(), "workers are left behind"


def test_a_run_that_fails_fails_alone(home: Home, toy: Prepared) -> None:
    good, bad = jobs_of(toy, 1), jobs_of(toy, 1, learning_rate=1e30)
    ended: list[Outcome] = []
    Local().launch(home, "toy", [*bad, *good], CPU, 1, lambda rows: None, ended.extend)
    assert [o.status for o in ended] == ["failed", "done"]


def test_a_worker_that_is_killed_takes_its_run_with_it_and_no_other(home: Home, toy: Prepared) -> None:
    """The first run would never end; its worker is killed, as the kernel does when memory is short."""
    endless = jobs_of(toy, 1, epochs=1_000_000, patience=1_000_000)
    ended: list[Outcome] = []

    def kill_the_endless(outcomes: list[Outcome]) -> None:
        ended.extend(outcomes)
        if len(ended) == 2:  # both short runs have gone through the other worker
            victims = [p for p in mp.active_children() if p.pid]
            os.kill(victims[0].pid or 0, signal.SIGKILL)
            os.kill(victims[1].pid or 0, signal.SIGKILL)

    Local().launch(home, "toy", [*endless, *jobs_of(toy, 2)], CPU, 2, lambda rows: None, kill_the_endless)
    assert [o.status for o in ended] == ["done", "done", "failed"]
    assert "exit code -9" in ended[-1].reason
    assert not mp.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_the_workers_and_keeps_what_is_done(
    home: Home, toy: Prepared, workers: int
) -> None:
    def interrupt(outcomes: list[Outcome]) -> None:
        raise KeyboardInterrupt

    jobs = jobs_of(toy, 3)
    with pytest.raises(KeyboardInterrupt):
        Local().launch(home, "toy", jobs, CPU, workers, lambda rows: None, interrupt)
    assert not mp.active_children()
    assert any((home.runs("toy") / spec.hash / "result.json").is_file() for job in jobs for spec in job)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_stack_too_large_for_memory_goes_in_halves(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    """Runs go alone in the end, and one that does not fit even so is reported as such."""
    specs = [spec for (spec,) in jobs_of(toy, 5)]
    sizes: list[int] = []

    def small_memory(
        home: Home, dataset: str, job: list[RunSpec], *rest: object, **how: bool
    ) -> list[Outcome]:
        sizes.append(len(job))
        if len(job) > 2 or job[-1].seed == 4:
            raise error
        return [Outcome(spec, "done") for spec in job]

    monkeypatch.setattr("mtlbench.launch.base.execute", small_memory)
    ended: list[Outcome] = []
    Local().launch(home, "toy", [specs], CPU, 1, lambda rows: None, ended.extend)
    assert [o.spec.seed for o in ended] == [0, 1, 2, 3, 4]
    assert [o.status for o in ended] == ["done"] * 4 + ["failed"]
    assert str(error) in ended[-1].reason
    assert sizes == [5, 2, 3, 1, 2, 1, 1]


def say_where(job: Sequence[RunSpec], device: torch.device, on_rows: Callable[[int], None]) -> list[Outcome]:
    return [Outcome(spec, "failed", reason=f"{device} in {os.getpid()}") for spec in job]


def test_each_gpu_gets_a_process_of_its_own(toy: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """No job trains here, so that devices which are not there can be handed out."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    devices = places(torch.device("cuda"), None)
    assert [str(device) for device in devices] == ["cuda:0", "cuda:1", "cuda:2"]
    assert places(torch.device("cuda"), 2) == devices[:2]
    assert places(CPU, 5) == [CPU] * 5
    pool = Pool(say_where, devices[1:])
    ended: list[Outcome] = []
    try:
        pool.work(jobs_of(toy, 6), lambda rows: None, ended.extend)
    finally:
        pool.stop()
    seen = {tuple(o.reason.split(" in ")) for o in ended}
    assert len(ended) == 6
    assert {device for device, _ in seen} == {"cuda:1", "cuda:2"}
    assert len({process for _, process in seen}) == len(seen) == 2


def test_an_address_is_a_clusters() -> None:
    with pytest.raises(UsageError, match="--launcher ray"):
        Local("10.0.0.1:6379")
