"""Runs: which of them are done already, and the doing of one job."""

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file

from mtlbench import __version__, networks
from mtlbench.config import RunSpec
from mtlbench.devices import device_name
from mtlbench.errors import DataError, UsageError
from mtlbench.evaluate import test_metrics
from mtlbench.files import LOCK, alone_in, atomic_folder, free_name, seal, write_json
from mtlbench.floors import work as floors
from mtlbench.floors.base import Floor
from mtlbench.guards import examine
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.methods import METHODS
from mtlbench.plugins import refuse_changed
from mtlbench.registry import lookup
from mtlbench.results import FORMAT, WEIGHTS, Result, damage, read_result
from mtlbench.train.memory import keep_freed_blocks
from mtlbench.work import Failure, Work


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run: done now, done before, failed and why, or taken: another process is at it."""

    spec: RunSpec
    status: Literal["done", "reused", "failed", "taken"]
    result: Result | None = None
    reason: str = ""


def finished(home: Home, dataset: str, spec: RunSpec) -> Result | None:
    """The result of that very run, if it is there and whole."""
    folder = home.runs(dataset) / spec.hash
    return read_result(folder) if damage(folder, spec.to_json()) is None else None


def set_aside(home: Home, dataset: str, spec: RunSpec) -> str:
    """Move away what lies in the place of that run's result and is none; what to say of it, else empty."""
    folder = home.runs(dataset) / spec.hash
    why = damage(folder, spec.to_json())
    if why is None:
        return ""
    target = free_name(home.set_aside(dataset) / spec.hash)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(target)
    except FileNotFoundError:  # another process was faster
        return ""
    return f"{home.relative(folder)} is no result: {why}. It lies in {home.relative(target)} now."


def forget_attempts(home: Home, dataset: str, spec: RunSpec) -> None:
    """Remove what a killed attempt has left of a run that is done, such as the checkpoints of its stack."""
    folder = home.training(dataset) / spec.hash
    if folder.exists():
        with suppress(OSError), _claim(folder):  # held, where another process trains it again
            pass


def note_failure(home: Home, dataset: str, outcome: Outcome) -> None:
    """Keep the reason why a run failed, until it is done; as far as there is room on the disk."""
    file = home.failed(dataset) / f"{outcome.spec.hash}.json"
    if outcome.status == "failed":
        run = {"run": outcome.spec.to_json(), "reason": outcome.reason}
        with suppress(OSError):
            write_json(file, {**run, "commit": commit(), "failed_at": _now()})
    else:
        file.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: this machine has no CUDA device, or torch was built without CUDA "
            f"(torch {torch.__version__}). Use --device cpu, or leave --device away."
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def execute(
    home: Home,
    dataset: str,
    specs: Sequence[RunSpec],
    device: torch.device,
    progress: Callable[[int], None],
    *,
    stacked: bool | None = None,
    again: bool = False,
    wait: bool = False,
) -> list[Outcome]:
    """Train, evaluate and store runs that differ in seed and in the balancer's options alone.

    A run that another process has finished meanwhile is not trained, nor is one that another process trains.
    One whose data are missing, damaged or by now others than it was planned for fails, and stores nothing.

    Args:
        home: where data and results lie.
        dataset: name of the prepared dataset.
        specs: the runs.
        device: where to train.
        progress: told how many more rows have been trained on.
        stacked: whether all models form one stack; unless given: on a GPU.
        again: train what has a result too.
        wait: until no other process trains them.

    Raises:
        UsageError: code has changed since the runs were planned.
    """
    commit()  # of the code that is loaded, not of what the checkout holds by the end of training
    refuse_changed(specs[0])
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as held:
        for spec in specs:
            if not _hold(held, home.training(dataset) / spec.hash, wait=wait):
                outcomes[spec.hash] = Outcome(spec, "taken")
            elif not again and (result := finished(home, dataset, spec)) is not None:
                outcomes[spec.hash] = Outcome(spec, "reused", result)
        mine = [spec for spec in specs if spec.hash not in outcomes]
        for left_over in (path for spec in mine for path in home.runs(dataset).glob(f".{spec.hash}-*")):
            shutil.rmtree(left_over, ignore_errors=True)  # of a process that was killed while it wrote
        if mine:
            try:
                for outcome in _train(home, dataset, mine, device, progress, stacked=stacked, again=again):
                    outcomes[outcome.spec.hash] = outcome
            except DataError as error:  # what has been stored, or is another's, has not failed
                lost = [spec for spec in mine if spec.hash not in outcomes]
                outcomes |= {spec.hash: Outcome(spec, "failed", reason=str(error)) for spec in lost}
    return [outcomes[spec.hash] for spec in specs]


def _hold(held: ExitStack, folder: Path, *, wait: bool) -> bool:
    """Hold the folder of a run that is to be trained, unless another process does."""
    try:
        held.enter_context(_claim(folder, wait=wait))
    except BlockingIOError:
        return False
    return True


@contextmanager
def _claim(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Alone in the folder; what ends well leaves no folder, what does not leaves its checkpoints there."""
    with alone_in(folder, wait=wait):
        yield
        for left in folder.iterdir():
            if left.name != LOCK:
                shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):  # not empty: another process is at it already
        folder.rmdir()


def _train(
    home: Home,
    dataset: str,
    specs: Sequence[RunSpec],
    device: torch.device,
    progress: Callable[[int], None],
    *,
    stacked: bool | None,
    again: bool,
) -> Iterator[Outcome]:
    """Train runs that this process holds."""
    prepared = open_prepared(home, dataset, specs[0].tasks, specs[0].fingerprint)
    kind = lookup(METHODS, specs[0].method, "method").load()
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_freed_blocks()
    works: Iterable[Work | Failure]
    if issubclass(kind, Floor):
        works = floors.work(kind, prepared, specs, progress)
    else:
        together = device.type != "cpu" if stacked is None else stacked
        unfinished = home.training(dataset) / specs[0].hash
        works = networks.work(
            kind, prepared, specs, device, progress, stacked=together, unfinished=unfinished
        )
    for spec, work in zip(specs, works, strict=True):
        if isinstance(work, Failure):
            yield Outcome(spec, "failed", reason=work.reason)
        else:
            if not again:
                set_aside(home, dataset, spec)
            yield Outcome(spec, "done", _store(home, prepared, spec, work, device))


def _store(home: Home, prepared: Prepared, spec: RunSpec, work: Work, device: torch.device) -> Result:
    """Write the folder of one run, whole or not at all."""
    schema = prepared.schema
    tables = test_metrics(schema, work.scores)
    leaks = prepared.manifest["guards"]
    findings = examine(schema, work.scores, tables["test"], leaks, constant=work.constant)
    data = {
        "format": FORMAT,
        "hash": spec.hash,
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "simulated": prepared.simulated,
        "run": spec.to_json(),
        "built_from": asdict(work.config),
        "tasks": list(schema.task_names),
        "schema": schema.to_json(),
        "metrics": tables,
        "guards": [asdict(finding) for finding in findings],
        "warnings": [finding.message for finding in findings if not finding.explained],
        "costs": work.costs,
        "checkpoint_criterion": work.criterion,
        "checkpoint": work.checkpoint,
        "history": work.history,
        "device": device_name(device),
        "versions": {
            "mtlbench": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "commit": commit(),
        "finished_at": _now(),
    }
    target = home.runs(prepared.name) / spec.hash
    with atomic_folder(target) as folder:
        work.scores.save(folder / "scores.npz")
        if work.weights:
            save_file(dict(work.weights), folder / WEIGHTS)
        write_json(folder / "result.json", data)
        seal(folder)
    return Result(target, data)


@cache
def commit() -> str | None:
    """The commit of the checkout this package runs from, with a + if it has been changed; None in a wheel.

    Asked once a process: what is pulled later is not what runs.
    """
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    try:
        answers = [
            subprocess.run(
                ["git", "-C", str(here.parent), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "mtlbench"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return answers[0] + ("+" if answers[1] else "")
