"""Runs of networks: their replicas are stacked, trained by the one loop, then evaluated run by run."""

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.config import Precision, RunSpec, fill
from mtlbench.evaluate import score_test
from mtlbench.load import Prepared
from mtlbench.methods.base import Method
from mtlbench.registry import lookup
from mtlbench.runs.outcome import Costs, Failure, FinishedRun
from mtlbench.train.blueprint import TABLES, Blueprint, Replica
from mtlbench.train.loop import train
from mtlbench.train.precision import products
from mtlbench.train.randomness import generator
from mtlbench.train.snapshot import Snapshots
from mtlbench.train.trained import Trained

Member = tuple[RunSpec, Replica]


def train_networks(
    method: type[Method],
    prepared: Prepared,
    specs: Sequence[RunSpec],
    device: torch.device,
    progress: Callable[[int], None],
    *,
    stacked: bool,
    unfinished: Path | None = None,
) -> Iterator[FinishedRun | Failure]:
    """Train runs of that method, stacked or one model at a time, and evaluate them one after another.

    As in `execute`, `specs` differ only in seed and in the balancer's options. Snapshots are kept in the
    folder `unfinished`, and those of an earlier attempt are resumed from there.
    """
    first, settings = specs[0], specs[0].training
    config = fill(method.Config, first.method_options, "method options")
    blueprint = Blueprint.of(method, config, prepared)
    balancer: type[Balancer] = lookup(BALANCERS, first.balancer, "balancer").load()
    members = [(spec, replica) for spec in specs for replica in blueprint.replicas(spec.seed)]
    stacks = _alike(blueprint, members) if stacked else [[member] for member in members]
    trained: dict[str, list[Trained]] = {spec.hash: [] for spec in specs}
    for stack in stacks:
        options = [fill(balancer.Config, spec.balancer_options, "balancer options") for spec, _ in stack]
        replicas = [replica for _, replica in stack]
        draws = [generator(replica.seed, "balancer") for replica in replicas]
        balance = balancer([prepared.schema.task_names[k] for k in replicas[0].tasks], options, draws)
        snapshots = Snapshots(unfinished and unfinished / _name(stack))
        with products(settings.precision):
            outcomes = train(blueprint, balance, settings, replicas, prepared, device, progress, snapshots)
        for (spec, _), outcome in zip(stack, outcomes, strict=True):
            trained[spec.hash].append(outcome)
    for spec in specs:
        yield _evaluated(blueprint, trained.pop(spec.hash), prepared, device, settings.precision)


def _name(stack: Sequence[Member]) -> str:
    """Return a name for the stack's snapshots that is unique to its members."""
    members = [(spec.hash, replica.tasks) for spec, replica in stack]
    return sha256(repr(members).encode()).hexdigest()[:12]


def _alike(blueprint: Blueprint, members: Sequence[Member]) -> list[list[Member]]:
    """Group models that one stack can train: their tasks have the same kinds and units."""
    alike: dict[object, list[Member]] = {}
    for spec, replica in members:
        kind = tuple((t.kind, t.mean, t.deviation) for t in blueprint.tasks(replica))
        alike.setdefault(kind, []).append((spec, replica))
    return list(alike.values())


def _evaluated(
    blueprint: Blueprint,
    trained: Sequence[Trained],
    prepared: Prepared,
    device: torch.device,
    precision: Precision,
) -> FinishedRun | Failure:
    """Evaluate one run from its trained models."""
    failures = [t.failure for t in trained if t.failure]
    if failures:
        return Failure("; ".join(dict.fromkeys(failures)))
    began = time.perf_counter()
    with products(precision):
        scores, seconds = score_test(blueprint, trained, prepared, device, precision)
    evaluation_seconds = time.perf_counter() - began
    names = prepared.schema.task_names
    deployable = [t.deployable for t in trained if t.deployable]
    return FinishedRun(
        scores=scores,
        criterion=float(np.mean([checkpoint.criterion for checkpoint in deployable])),
        config=blueprint.config,
        costs=_costs(blueprint, trained, evaluation_seconds, len(scores.cluster) / seconds),
        checkpoint={
            names[k]: {"deployable": at.step, "best": t.best[k].step}
            for t, at in zip(trained, deployable, strict=True)
            for k in t.replica.tasks
        },
        history=[{"tasks": [names[k] for k in t.replica.tasks], "evaluations": t.history} for t in trained],
        weights={
            (f"{names[t.replica.tasks[0]]}/{name}" if blueprint.method.per_task else name): weight
            for t, at in zip(trained, deployable, strict=True)
            for name, weight in at.weights.items()
        },
    )


def _costs(
    blueprint: Blueprint, trained: Sequence[Trained], evaluation_seconds: float, scored_per_second: float
) -> Costs:
    dense = embedding = 0
    for t in trained:
        assert t.deployable is not None
        embedding += t.deployable.weights[TABLES].numel()
        dense += sum(parameter.numel() for parameter in blueprint.build(t.replica).parameters())
    train_seconds = sum(t.seconds for t in trained)
    return Costs(
        parameters=dense + embedding,
        dense_parameters=dense,
        embedding_parameters=embedding,
        train_rows=sum(t.rows for t in trained),
        train_seconds=train_seconds,
        rows_per_second=1 / sum(t.seconds / t.rows for t in trained),
        wall_seconds=train_seconds + evaluation_seconds,
        scored_per_second=scored_per_second,
    )
