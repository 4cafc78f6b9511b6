"""The comparison again, from `results/` alone: no data, no training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mtlbench.compare.measures import check_metric
from mtlbench.config import Benchmark, Family, RunSpec
from mtlbench.errors import DataError
from mtlbench.experiment.grid import plan
from mtlbench.experiment.run import compare_results
from mtlbench.home import Home
from mtlbench.methods import METHODS
from mtlbench.registry import lookup
from mtlbench.report import document
from mtlbench.results import Result, Say, each_result, read_results
from mtlbench.runs.outcome import Outcome
from mtlbench.schema import Schema


def compare_stored(
    home: Home,
    benchmark: Benchmark | None,
    dataset: str,
    say: Say,
    family: Family,
    by: str | None = None,
    command: str = "mtlbench run",
    fingerprint: str = "",
) -> dict[str, Any]:
    """Return the document of `run --json` from `results/` alone: no training, and no data except for strata.

    Only results on the data with the newest fingerprint count: with a benchmark its runs, else every run with
    the tasks and training settings of the newest one.

    Args:
        home: where results are stored.
        benchmark: the benchmark whose runs are compared; None for all runs that can be compared.
        dataset: name of the dataset; empty for the benchmark's, or the one with the newest result.
        say: told what is left out.
        family: what is compared, and how.
        by: also look at strata of the test rows (`mtlbench.strata`); this needs the prepared data.
        command: the command that trains the benchmark's missing runs.
        fingerprint: of the data, if not the newest.
    """
    check_metric(family.metric)
    where = dataset or (benchmark.dataset if benchmark else "")
    # A plugin's stored results can be compared without loading the plugin.
    if family.baseline not in METHODS and family.baseline not in {
        r.method for r in each_result(home.results, where)
    }:
        lookup(METHODS, family.baseline, "baseline")
    results = stored(home, where, say)
    if fingerprint:
        results = [r for r in results if r.data["fingerprint"] == fingerprint]
        if not results:
            raise DataError(
                f"No result of the data with fingerprint {fingerprint[:8]}. Train first: {command}"
            )
    if benchmark is not None:
        tasks = benchmark.tasks or _usual_tasks(results)
        results = [r for r in results if set(r.data["tasks"]) == set(tasks)]
        if not results:
            raise DataError(f"No result with the tasks {', '.join(tasks)}. Train first: {command}")
    newest = results[0]
    schema = Schema.from_json(newest.data["schema"])
    same = {
        r.path.name: r for r in results if r.data["run"]["fingerprint"] == newest.data["run"]["fingerprint"]
    }
    missing = 0
    if benchmark is not None:
        planned = plan(benchmark, schema, str(newest.data["run"]["fingerprint"]))
        specs = [spec for arm in planned for spec in arm]
        absent = [spec for spec in specs if spec.hash not in same]
        missing = len(absent)
        if absent:
            of = f" of {benchmark.name}" if benchmark.name else ""
            say(f"{len(absent)} of the {len(specs)} runs{of} have no result yet: {command}")
        outcomes = [Outcome(spec, "reused", same[spec.hash]) for spec in specs if spec.hash in same]
    else:
        outcomes = _alike(same.values(), newest)
        if len(outcomes) < len(results):
            say(
                f"{len(results) - len(outcomes)} results are left out: other tasks or training settings, or "
                "from an earlier preparation or version. Name a benchmark file to choose: "
                "mtlbench compare FILE.toml"
            )
    if not outcomes:
        raise DataError(f"None of these runs has a result yet. Train them: {command}")
    compared = compare_results(outcomes, schema, family, benchmark)
    written = document(home, newest.data, outcomes, compared) | {"absent": missing}
    if by is not None:
        from mtlbench.strata import by_stratum

        written["strata"] = by_stratum(home, [o.result for o in outcomes if o.result], schema, family, by)
    return written


def _usual_tasks(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the tasks learned when none are named: all that are not optional, judging by the results.

    Only results on the data of the first one count. Runs on fewer tasks are not taken for the usual ones.
    """
    of = results[0].data["fingerprint"]
    schemas = [Schema.from_json(r.data["schema"]) for r in results if r.data["fingerprint"] == of]
    usual = max(schemas, key=lambda s: (not any(task.optional for task in s.tasks), len(s.tasks)))
    return usual.task_names


def _alike(results: Iterable[Result], newest: Result) -> list[Outcome]:
    """Return the results with the same tasks, training settings and training loop as the newest.

    Of each arm, only those from the code of its newest result are kept: mixing two versions of a method
    would add noise that does not come from the seeds.
    """
    chosen: list[Outcome] = []
    revisions: dict[str, Mapping[str, int | str]] = {}
    for result in results:  # newest first
        if _conditions(result) != _conditions(newest):
            continue
        spec = RunSpec.from_json(result.data["run"])
        arm = replace(spec, seed=0, revision={}).hash
        if revisions.setdefault(arm, spec.revision) == spec.revision:
            chosen.append(Outcome(spec, "reused", result))
    return sorted(chosen, key=lambda o: (o.spec.method, o.spec.balancer, o.spec.seed))


def _conditions(result: Result) -> tuple[Any, ...]:
    """Return the settings that all arms of a comparison must have in common."""
    run = result.data["run"]
    return run["training"], run["tasks"], run["revision"].get("loop")


def stored(home: Home, dataset: str, say: Say) -> list[Result]:
    """Return all results of a dataset, newest first; without a name, of the dataset with the newest result.

    Raises:
        DataError: there are no results.
    """
    results = read_results(home.results, dataset, say)
    results.sort(key=lambda r: (str(r.data["finished_at"]), r.path.name), reverse=True)
    name = str(results[0].data["dataset"])
    if not dataset:
        say(f"Dataset: {name} (the one with the newest result; choose with --dataset)")
    return [r for r in results if r.data["dataset"] == name]
