"""`mtlbench plan`: before a benchmark is run, what it can detect and how long it will take."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from mtlbench.compare.measures import check_family
from mtlbench.config import Benchmark
from mtlbench.devices import pick_device
from mtlbench.errors import MtlbenchError, UsageError
from mtlbench.experiment.grid import plan
from mtlbench.experiment.run import Bar, Execution, reused, train_missing
from mtlbench.home import Home
from mtlbench.launch import cores
from mtlbench.load import open_dataset
from mtlbench.planning.pace import time_needed
from mtlbench.planning.pilot import choose, members
from mtlbench.planning.power import read_power
from mtlbench.report.power import conclusion, too_few_seeds, undecided
from mtlbench.results import Say


def plan_benchmark(
    home: Home,
    benchmark: Benchmark,
    execution: Execution,
    say: Say,
    bar: Callable[[int, int], AbstractContextManager[Bar]],
) -> dict[str, Any]:
    """Train what is missing of the pilot, and read the benchmark's power and time off it.

    Args:
        home: where data and results are stored; the pilot's runs stay there, for `run` to use.
        benchmark: with its baseline; no dataset named means the most recently prepared one.
        execution: how the pilot is run, and the benchmark will be.
        say: receives progress messages.
        bar: shows progress of the pilot.

    Returns:
        The `plan --json` document. It holds variances and what follows from them, but no gains.

    Raises:
        UsageError: there is nothing to compare, there are no two methods to train, or the family cannot be
            judged: an unknown metric or task.
        MtlbenchError: a run of the pilot failed.
    """
    device = pick_device(execution.device)
    prepared = open_dataset(home, benchmark.dataset, say, benchmark.tasks)
    check_family(benchmark.family, prepared.schema)
    pilot = choose(benchmark, prepared)
    size = members(benchmark, prepared.schema)
    if not size or not pilot:
        raise UsageError(
            f"{benchmark.name or 'This benchmark'} has no two methods to train and compare, off which a plan "
            'reads its variances. Add a table such as [[run]] with method = "hard-sharing".'
        )
    planned = plan(benchmark, prepared.schema, prepared.fingerprint)
    outcomes = reused(home, prepared.name, [*planned, *pilot], say)
    absent = [spec for arm in pilot for spec in arm if spec.hash not in outcomes]
    names, seeds = ", ".join(arm[0].method for arm in pilot), [spec.seed for spec in pilot[0]]
    say(f"Pilot: {names}, seeds {', '.join(map(str, seeds))}; its gains are not looked at.")
    if absent:
        train_missing(home, prepared, pilot, outcomes, execution, say, bar)
    tried = [outcomes[spec.hash] for arm in pilot for spec in arm]
    results = [outcome.result for outcome in tried if outcome.result is not None]
    if len(results) < len(tried):
        reasons = dict.fromkeys(outcome.reason for outcome in tried if outcome.reason)
        raise MtlbenchError(f"No plan: {len(tried) - len(results)} pilot runs failed: {'; '.join(reasons)}")

    power = read_power(benchmark, prepared.schema, results).to_json()
    workers = execution.workers or cores() if device.type == "cpu" else 1
    missing = [[spec for spec in arm if spec.hash not in outcomes] for arm in planned]
    extra = sorted(set(seeds) - set(benchmark.seed_numbers))
    notes = too_few_seeds(len(benchmark.seed_numbers), size, benchmark.family.alpha)
    if extra:
        notes.append(f"The pilot's seeds {', '.join(map(str, extra))} are not the benchmark's.")
    return {
        "benchmark": benchmark.name,
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "simulated": prepared.simulated,
        **power,
        "conclusion": conclusion(power),
        "undecided": undecided(power),
        "notes": notes,
        "time": time_needed(missing, results, prepared, device, workers),
    }
