"""Runs: which of them are done already, and the doing of one job."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file

from mtlbench import __version__
from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.config import RunSpec, fill
from mtlbench.errors import UsageError
from mtlbench.evaluate import constant_tasks, identical_tasks, score_test, test_metrics
from mtlbench.home import Home, atomic_folder, write_json
from mtlbench.load import Prepared, open_prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method
from mtlbench.registry import lookup
from mtlbench.results import FORMAT, Result, Scores, read_result
from mtlbench.train.loop import Trained, train
from mtlbench.train.stack import TABLES, Blueprint, Replica


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run: done now, done before, or failed and why."""

    spec: RunSpec
    status: Literal["done", "reused", "failed"]
    result: Result | None = None
    reason: str = ""


def finished(home: Home, dataset: str, spec: RunSpec) -> Result | None:
    """The result of that very run, if it is there and whole."""
    folder = home.runs(dataset) / spec.hash
    result = read_result(folder)
    return result if result is not None and (folder / "scores.npz").is_file() else None


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
) -> list[Outcome]:
    """Train, evaluate and store runs that differ in seed and in the balancer's options alone.

    Args:
        home: where data and results lie.
        dataset: name of the prepared dataset.
        specs: the runs.
        device: where to train.
        progress: told how many more rows have been trained on.
        stacked: whether all models form one stack. Unless given: on a GPU; on a CPU only nets of a few
            thousand weights gain by it.
    """
    first = specs[0]
    prepared = open_prepared(home, dataset, first.tasks)
    method: type[Method] = lookup(METHODS, first.method, "method").load()
    balancer: type[Balancer] = lookup(BALANCERS, first.balancer, "balancer").load()
    blueprint = Blueprint.of(method, fill(method.Config, first.method_options, "method options"), prepared)
    members = [(spec, replica) for spec in specs for replica in blueprint.replicas(spec.seed)]
    if device.type == "cpu":
        torch.set_num_threads(1)
    if stacked is None:
        stacked = device.type != "cpu"
    if stacked:
        alike: dict[Any, list[tuple[RunSpec, Replica]]] = {}
        for spec, replica in members:
            kind = tuple((t.kind, t.mean, t.deviation) for t in blueprint.tasks(replica))
            alike.setdefault(kind, []).append((spec, replica))
        stacks = list(alike.values())
    else:
        stacks = [[member] for member in members]
    trained: dict[str, list[Trained]] = {spec.hash: [] for spec in specs}
    for stack in stacks:
        options = [fill(balancer.Config, spec.balancer_options, "balancer options") for spec, _ in stack]
        balance = balancer([prepared.schema.task_names[k] for k in stack[0][1].tasks], options)
        replicas = [replica for _, replica in stack]
        outcomes = train(blueprint, balance, first.training, replicas, prepared, device, progress)
        for (spec, _), outcome in zip(stack, outcomes, strict=True):
            trained[spec.hash].append(outcome)
    return [_finish(home, prepared, blueprint, spec, trained[spec.hash], device) for spec in specs]


def _finish(
    home: Home,
    prepared: Prepared,
    blueprint: Blueprint,
    spec: RunSpec,
    trained: Sequence[Trained],
    device: torch.device,
) -> Outcome:
    """Evaluate one run and write its folder, whole or not at all."""
    failures = [t.failure for t in trained if t.failure]
    if failures:
        return Outcome(spec, "failed", reason="; ".join(dict.fromkeys(failures)))
    began = time.perf_counter()
    scores = score_test(blueprint, trained, prepared, device)
    tables = test_metrics(prepared.schema, scores)
    evaluation_seconds = time.perf_counter() - began
    names = prepared.schema.task_names
    data = {
        "format": FORMAT,
        "hash": spec.hash,
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "simulated": prepared.simulated,
        "run": spec.to_json(),
        "tasks": list(names),
        "schema": prepared.schema.to_json(),
        "metrics": tables,
        "warnings": _warnings(scores),
        "costs": _costs(blueprint, trained, evaluation_seconds),
        "checkpoint": {
            names[k]: {"deployable": t.deployable.step, "best": t.best[k].step}
            for t in trained
            for k in t.replica.tasks
            if t.deployable
        },
        "history": [
            {"tasks": [names[k] for k in t.replica.tasks], "evaluations": t.history} for t in trained
        ],
        "device": device_name(device),
        "versions": {
            "mtlbench": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "commit": commit(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    target = home.runs(prepared.name) / spec.hash
    with atomic_folder(target) as folder:
        scores.save(folder / "scores.npz")
        save_file(
            {
                (f"{names[t.replica.tasks[0]]}/{name}" if blueprint.method.per_task else name): weight
                for t in trained
                if t.deployable
                for name, weight in t.deployable.weights.items()
            },
            folder / "weights.safetensors",
        )
        write_json(folder / "result.json", data)
    return Outcome(spec, "done", Result(target, data))


def _warnings(scores: Scores) -> list[str]:
    """What a reader must know before believing the scores."""
    constant = [f"{task}: all predictions are the same number" for task in constant_tasks(scores)]
    return constant + [f"{a} and {b}: identical predictions" for a, b in identical_tasks(scores)]


def _costs(blueprint: Blueprint, trained: Sequence[Trained], evaluation_seconds: float) -> dict[str, Any]:
    """What the run cost, summed over its models.

    rows_per_second is how fast a row gets through all models of the run: 1 / sum of the seconds a row.
    """
    sizes = {"dense_parameters": 0, "embedding_parameters": 0}
    for t in trained:
        assert t.deployable is not None
        for name, weight in t.deployable.weights.items():
            sizes["embedding_parameters" if name == TABLES else "dense_parameters"] += weight.numel()
    train_seconds = sum(t.seconds for t in trained)
    return {
        "parameters": sum(sizes.values()),
        **sizes,
        "train_rows": sum(t.rows for t in trained),
        "train_seconds": train_seconds,
        "rows_per_second": 1 / sum(t.seconds / t.rows for t in trained),
        "wall_seconds": train_seconds + evaluation_seconds,
    }


def device_name(device: torch.device) -> str:
    """What the numbers were computed on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({platform.machine()}, {os.cpu_count()} cores)"


def commit() -> str | None:
    """The commit of the checkout this package runs from, with a + if it has been changed; None in a wheel."""
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
