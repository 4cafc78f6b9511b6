"""The main job as one call: train the missing runs, compare all, track the verdicts."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from mtlbench.compare import Comparison, compare
from mtlbench.compare.declared import UNDECLARED, Declared
from mtlbench.compare.measures import check_family
from mtlbench.config import EQUAL, Arm, Benchmark, Family, RunSpec
from mtlbench.experiment.chains import check_chains
from mtlbench.experiment.grid import (
    declared_families,
    family_sizes,
    plan,
    rival_tests,
    rows_to_train,
    shard_of,
    to_jobs,
)
from mtlbench.experiment.requests import note_request
from mtlbench.home import Home
from mtlbench.launch import LAUNCHERS
from mtlbench.launch.base import Launcher
from mtlbench.load import Prepared, open_dataset
from mtlbench.methods import METHODS
from mtlbench.planning.foresight import Foresight
from mtlbench.registry import lookup
from mtlbench.report import document, markdown, shard_document
from mtlbench.results import Result, Say
from mtlbench.runs.attempts import forget_attempts
from mtlbench.runs.outcome import Outcome
from mtlbench.runs.store import finished, note_failure, set_aside
from mtlbench.schema import Schema
from mtlbench.train import precision


class Bar(Protocol):
    """Progress of a grid."""

    def rows(self, rows: int) -> None:
        """Advance by `rows` more rows that have been trained on."""

    def ended(self, outcome: Outcome) -> None:
        """Count a run that is done or has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How to run, as opposed to what: apart from rounding on another device, nothing here changes a number.

    Attributes:
        device: auto, cpu or cuda.
        workers: runs at a time; None means one per core, one per GPU, or as many as a cluster has room for.
        force: train again runs that already have a result.
        track: write to MLflow.
        shard: (i, n) trains only the i-th of n parts, counted from 1, compares nothing and does not track.
        launcher: local or ray.
        address: address of the cluster that the launcher uses.
    """

    device: str = "auto"
    workers: int | None = None
    force: bool = False
    track: bool = True
    shard: tuple[int, int] | None = None
    launcher: str = "local"
    address: str | None = None

    def make_launcher(self) -> Launcher:
        """Return the launcher, made for `address`."""
        made: Launcher = lookup(LAUNCHERS, self.launcher, "launcher").load()(self.address)
        return made


def run(
    home: Home,
    benchmark: Benchmark,
    execution: Execution,
    say: Say,
    bar: Callable[[int, int], AbstractContextManager[Bar]],
) -> dict[str, Any]:
    """Train and evaluate each run of the benchmark that has no result yet, then compare all of them.

    Args:
        home: where data and results are stored.
        benchmark: what to run; if it names no dataset, the most recently prepared one is used.
        execution: how to run it.
        say: told what is going on.
        bar: shows progress, given the number of runs to do and the maximum number of rows they train on.

    Returns:
        The `run --json` document.
    """
    # First refuse a device or precision that is not available.
    device = execution.make_launcher().pick_device(execution.device)
    precision.check(benchmark.training.precision, device)
    for line in idle_balancers(benchmark.run):
        say(line)
    prepared = open_dataset(home, benchmark.dataset, say, benchmark.tasks)
    planned = plan(benchmark, prepared.schema, prepared.fingerprint)
    check_family(benchmark.family, prepared.schema)
    note_request(home, benchmark, prepared.name, prepared.fingerprint)
    if execution.shard is not None:
        planned = shard_of(planned, *execution.shard)
    outcomes = {} if execution.force else reused(home, prepared.name, planned, say)
    foresight = Foresight(home, benchmark, prepared, say, stored=not execution.force)
    if all(spec.hash in outcomes for arm in planned for spec in arm):
        say(f"Nothing to train: all {len(outcomes)} runs are done.")
        foresight.look(outcomes, aloud=False)
    else:
        check_chains(planned, prepared, say)
        foresight.warn()
        train_missing(home, prepared, planned, outcomes, execution, say, bar, foresight.look)
    ordered = [outcomes[spec.hash] for arm in planned for spec in arm]
    if execution.shard is not None:  # no verdict from a part of the runs
        return shard_document(home, prepared.manifest, ordered, execution.shard)
    about = {**prepared.manifest, "schema": prepared.schema.to_json()}
    compared = compare_results(ordered, prepared.schema, benchmark.family, benchmark)
    written = document(home, about, ordered, compared)
    written["plan"] = foresight.power
    if execution.track:
        results = [outcome.result for outcome in ordered if outcome.result is not None]
        track_document(home, benchmark.name, results, written, say)
    return written


def idle_balancers(arms: Sequence[Arm]) -> list[str]:
    """Return one line for each requested balancer that changes nothing."""
    lines = []
    for arm in arms:
        method = lookup(METHODS, arm.method, "method").load()
        if method.per_task and arm.balancer != EQUAL:
            lines.append(
                f"{arm.method} trains a model a task: {arm.balancer} has nothing to balance there and is "
                "left out."
            )
        elif arm.balancer == "static" and not arm.balancer_options.get("weights"):
            lines.append(
                f"{arm.method} with static: no weights are given, so that all are 1, as with equal. Give "
                "some: --set balancer.weights.TASK=5"
            )
    return list(dict.fromkeys(lines))


def reused(home: Home, dataset: str, planned: Sequence[Sequence[RunSpec]], say: Say) -> dict[str, Outcome]:
    """Return the planned runs that already have a result, by hash; set damaged results aside."""
    outcomes = {}
    for spec in (spec for arm in planned for spec in arm):
        if (result := finished(home, dataset, spec)) is not None:
            outcomes[spec.hash] = Outcome(spec, "reused", result)
            forget_attempts(home, dataset, spec)
        elif line := set_aside(home, dataset, spec):
            say(line)
    return outcomes


def train_missing(
    home: Home,
    prepared: Prepared,
    planned: Sequence[Sequence[RunSpec]],
    outcomes: dict[str, Outcome],
    execution: Execution,
    say: Say,
    bar: Callable[[int, int], AbstractContextManager[Bar]],
    look: Callable[[Mapping[str, Outcome]], None] = lambda outcomes: None,
) -> None:
    """Train and evaluate the runs that have no outcome yet.

    Args:
        home: where data and results are stored.
        prepared: the data to train on.
        planned: the runs, one list per arm.
        outcomes: known outcomes by hash; that of each trained run is added.
        execution: how to run.
        say: told what is going on.
        bar: shows progress, given the number of runs to do and the maximum number of rows they train on.
        look: shown all outcomes so far whenever there are new ones.

    Raises:
        DataError: the data are damaged.
    """
    prepared.open_split("train")  # damage is told once, not by every run
    prepared.open_split("validation")
    launcher = execution.make_launcher()
    device = launcher.pick_device(execution.device)
    missing = [[spec for spec in arm if spec.hash not in outcomes] for arm in planned]
    # A stack of another size rounds differently, so on a CPU each run goes alone: its numbers must not depend
    # on which others are missing.
    jobs = to_jobs(missing, stacked=device.type != "cpu")
    todo = [spec for job in jobs for spec in job]
    taken: list[RunSpec] = []
    with bar(len(todo), sum(rows_to_train(spec, prepared) for spec in todo)) as progress:

        def on_outcomes(ended: Sequence[Outcome]) -> None:
            taken.extend(outcome.spec for outcome in ended if outcome.status == "taken")
            for outcome in (outcome for outcome in ended if outcome.status != "taken"):
                outcomes[outcome.spec.hash] = outcome
                note_failure(home, prepared.name, outcome)
                progress.ended(outcome)
            look(outcomes)

        go = partial(
            launcher.launch,
            home,
            prepared.name,
            device=device,
            workers=execution.workers,
            on_rows=progress.rows,
            on_outcomes=on_outcomes,
            again=execution.force,
        )
        go(jobs)
        if taken:
            say(f"Another process trains {len(taken)} of these runs; waiting for what becomes of them.")
            go([[spec] for spec in taken], wait=True)


def compare_results(
    outcomes: Sequence[Outcome], schema: Schema, family: Family, benchmark: Benchmark | None = None
) -> Comparison:
    """Compare the outcomes that have a result, as `family`; `benchmark` is what declares it, if anything."""
    return compare(
        [o.result for o in outcomes if o.result is not None],
        schema,
        family,
        _declared(benchmark, schema) if benchmark else UNDECLARED,
    )


def _declared(benchmark: Benchmark, schema: Schema) -> Declared:
    return Declared(
        name=benchmark.name,
        members=family_sizes(benchmark, schema),
        rivals=rival_tests(benchmark, schema),
        families=declared_families(benchmark, schema),
    )


def track_document(
    home: Home, benchmark: str, results: Sequence[Result], written: Mapping[str, Any], say: Say
) -> str | None:
    """Write to MLflow and return the experiment's id; errors there are reported and do no other harm."""
    from mtlbench.tracking import track

    if not results:
        return None
    artifacts = {"verdicts.md": markdown(written), "document.json": json.dumps(written, indent=1)}
    return track(home, written["dataset"], benchmark or None, results, written, artifacts, warn=say)
