"""How long runs will take: a few dozen steps of every method timed here, scaled by what a pilot took."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, median
from typing import Any

import torch

from mtlbench.balancing import BALANCERS
from mtlbench.config import RunSpec, fill
from mtlbench.experiment.grid import rows_to_train
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.planning.pilot import trains
from mtlbench.registry import lookup
from mtlbench.results import Result
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train

REPORTS = 4
"""Number of the loop's reports (one every 20 steps) that are timed, after a first one for warm-up."""
NEVER = 10**9


class _Enough(Exception):
    """Raised to end a training that was only being timed."""


def seconds_a_row(specs: Sequence[RunSpec], prepared: Prepared, device: torch.device) -> float:
    """Return the median seconds that one more training row costs one model, without scoring validation.

    Args:
        specs: runs of one arm that differ in seed or balancer options; as many as make a stack on that
            device. A CPU times only the first.
        prepared: what they train on.
        device: where they will run; a CPU uses one thread, as the workers of `run` do.
    """
    first = specs[0]
    method = lookup(METHODS, first.method, "method").load()
    balancer = lookup(BALANCERS, first.balancer, "balancer").load()
    blueprint = Blueprint.of(method, fill(method.Config, first.method_options, "method options"), prepared)
    stack = specs[:1] if device.type == "cpu" else specs
    replicas = [blueprint.replicas(spec.seed)[0] for spec in stack]
    options = [fill(balancer.Config, spec.balancer_options, "balancer options") for spec in stack]
    balance = balancer([prepared.schema.task_names[k] for k in replicas[0].tasks], options)
    if device.type == "cpu":
        torch.set_num_threads(1)

    marks = [(time.perf_counter(), 0)]

    def on_rows(rows: int) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # steps are only queued there
        marks.append((time.perf_counter(), rows))  # 0 rows: an evaluation has just ended
        if sum(rows > 0 for _, rows in marks) > REPORTS:
            raise _Enough

    settings = replace(first.training, patience=NEVER)
    with suppress(_Enough):
        train(blueprint, balance, settings, replicas, prepared, device, on_rows)
    paces = [(end - begin) / rows for (begin, _), (end, rows) in pairwise(marks) if rows]
    return median(paces[1:] or paces)


def time_needed(
    missing: Sequence[Sequence[RunSpec]],
    pilot: Sequence[Result],
    prepared: Prepared,
    device: torch.device,
    workers: int,
) -> dict[str, Any]:
    """Return how long the missing runs take at most, and how long if all stop as early as the pilot did.

    What a run costs beyond its steps (scoring, workers side by side) is estimated from the pilot: its wall
    time over that of its steps as timed now, but at least 1. Floors have no steps and are not counted.

    Args:
        missing: the runs without a result, one list per arm.
        pilot: finished runs of the same benchmark.
        prepared: what they train on.
        device: where they will run.
        workers: number of runs at a time.

    Returns:
        Wall seconds `at_most` and `like_pilot`; the number of `runs` in them, and the methods `not_timed`.
    """
    paces: dict[str, float] = {}

    def pace(specs: Sequence[RunSpec]) -> float:
        program = specs[0].program
        if program not in paces:
            paces[program] = seconds_a_row(specs, prepared, device)
        return paces[program]

    arms = [arm for arm in missing if arm and trains(arm[0])]
    seconds, share = 0.0, 1.0
    if arms:
        steps = sum(pace(arm) * rows_to_train(spec, prepared) for arm in arms for spec in arm)
        costs = [(RunSpec.from_json(result.data["run"]), result.data["costs"]) for result in pilot]
        timed = sum(cost["train_rows"] * pace([spec]) for spec, cost in costs)
        beyond = max(1.0, sum(cost["wall_seconds"] for _, cost in costs) / timed)
        seconds = beyond * steps / min(workers, sum(map(len, arms)))
        share = fmean(_share_of_steps(result) for result in pilot)
    return {
        "at_most": seconds,
        "like_pilot": seconds * share,
        "share_of_steps_in_pilot": share,
        "runs": sum(map(len, arms)),
        "workers": workers,
        "not_timed": sorted({arm[0].method for arm in missing if arm and not trains(arm[0])}),
    }


def _share_of_steps(result: Result) -> float:
    """Return the share of its allowed epochs after which a run had stopped; mean over its models."""
    epochs = result.data["run"]["training"]["epochs"]
    return fmean(model["evaluations"][-1]["epoch"] / epochs for model in result.data["history"])
