"""Runs: what a benchmark asks for, which of it is done already, and the doing of one job."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file

from mtlbench import __version__
from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.config import Arm, Benchmark, RunSpec, fill
from mtlbench.errors import UsageError, unknown
from mtlbench.evaluate import constant_tasks, identical_tasks, score_test, test_metrics
from mtlbench.home import Home, atomic_folder, write_json
from mtlbench.load import Prepared, open_prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method
from mtlbench.registry import lookup
from mtlbench.results import FORMAT, Result, Scores, read_result
from mtlbench.schema import Schema
from mtlbench.train.loop import REVISION, Trained, train
from mtlbench.train.stack import TABLES, Blueprint


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run: done now, done before, or failed and why."""

    spec: RunSpec
    status: Literal["done", "reused", "failed"]
    result: Result | None = None
    reason: str = ""


def plan(benchmark: Benchmark, schema: Schema, fingerprint: str) -> list[list[RunSpec]]:
    """The runs of a benchmark, one list of seeds an arm.

    Raises:
        UsageError: an unknown method, balancer, task or option.
    """
    for name in benchmark.family.tasks:
        if name not in schema.task_names:
            raise unknown("task in family.tasks:", name, schema.task_names)
    planned: list[list[RunSpec]] = []
    for arm in benchmark.run:
        specs = [_resolve(arm, benchmark, schema, fingerprint, seed) for seed in benchmark.seed_numbers]
        if specs in planned:
            where = f"{benchmark.name}: " if benchmark.name else ""
            raise UsageError(f"{where}{arm.method} with {arm.balancer} stands there twice.")
        planned.append(specs)
    return planned


def _resolve(arm: Arm, benchmark: Benchmark, schema: Schema, fingerprint: str, seed: int) -> RunSpec:
    """Fill in all options, so that the identity names every number that matters."""
    method: type[Method] = lookup(METHODS, arm.method, "method").load()
    config = fill(method.Config, arm.method_options, f"options of {arm.method}")
    # Where every task has a model of its own there is nothing to balance.
    name = "equal" if method.per_task else arm.balancer
    balancer: type[Balancer] = lookup(BALANCERS, name, "balancer").load()
    options = fill(
        balancer.Config, {} if method.per_task else arm.balancer_options, f"options of {arm.balancer}"
    )
    balancer(schema.task_names, options)  # refuses weights of tasks that are not there
    return RunSpec(
        fingerprint=fingerprint,
        tasks=schema.task_names,
        method=arm.method,
        method_options=asdict(config),
        balancer=name,
        balancer_options=asdict(options),
        training=benchmark.training,
        seed=seed,
        revision={"method": method.revision, "balancer": balancer.revision, "loop": REVISION},
    )


def finished(home: Home, dataset: str, spec: RunSpec) -> Result | None:
    """The result of that very run, if it is there and whole."""
    folder = home.runs(dataset) / spec.hash
    result = read_result(folder)
    return result if result is not None and (folder / "scores.npz").is_file() else None


def rows_to_train(spec: RunSpec, prepared: Prepared) -> int:
    """Rows that a run goes through at the most, over all its models."""
    models = len(spec.tasks) if lookup(METHODS, spec.method, "method").load().per_task else 1
    return models * spec.training.epochs * int(prepared.manifest["splits"]["train"]["rows"])


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
    home: Home, dataset: str, specs: Sequence[RunSpec], device: torch.device, progress: Callable[[int], None]
) -> list[Outcome]:
    """Train, evaluate and store runs that differ in seed alone.

    On a GPU their models form one stack; on a CPU, where a stack gains nothing, each model is its own.
    """
    first = specs[0]
    prepared = open_prepared(home, dataset, first.tasks)
    method: type[Method] = lookup(METHODS, first.method, "method").load()
    balancer: type[Balancer] = lookup(BALANCERS, first.balancer, "balancer").load()
    blueprint = Blueprint.of(method, fill(method.Config, first.method_options, "method options"), prepared)
    balance = balancer(
        prepared.schema.task_names, fill(balancer.Config, first.balancer_options, "balancer options")
    )
    replicas = [replica for spec in specs for replica in blueprint.replicas(spec.seed)]
    if device.type == "cpu":
        torch.set_num_threads(1)
        stacks = [[replica] for replica in replicas]
    else:
        kinds = {r: tuple((t.kind, t.mean, t.deviation) for t in blueprint.tasks(r)) for r in replicas}
        stacks = [[r for r in replicas if kinds[r] == kind] for kind in dict.fromkeys(kinds.values())]
    trained = {}
    for stack in stacks:
        for outcome in train(blueprint, balance, first.training, stack, prepared, device, progress):
            trained[outcome.replica] = outcome
    return [
        _finish(home, prepared, blueprint, spec, [trained[r] for r in blueprint.replicas(spec.seed)], device)
        for spec in specs
    ]


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
