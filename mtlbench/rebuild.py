"""Write MLflow's store again from `results/` alone: what was asked for is kept beside the runs.

results/runs/.asked/<dataset>/<hash>.json       a benchmark as it was run, and the fingerprint of the data
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtlbench.config import Benchmark, fill
from mtlbench.errors import DataError, MtlbenchError
from mtlbench.files import free_name, write_json
from mtlbench.home import Home
from mtlbench.results import Result, Say


@dataclass(frozen=True, slots=True)
class Asked:
    """What `run` was asked for, once."""

    benchmark: Benchmark
    dataset: str
    fingerprint: str
    at: str


def note_asked(home: Home, benchmark: Benchmark, dataset: str, fingerprint: str) -> None:
    """Keep what is run now; the same again changes no more than its time."""
    what = {"benchmark": asdict(benchmark), "dataset": dataset, "fingerprint": fingerprint}
    name = sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    write_json(home.asked(dataset) / f"{name}.json", {**what, "at": at})


def track_stored(home: Home, dataset: str, say: Say, *, anew: bool) -> int:
    """Write all that `run` was ever asked for, and has results of, to MLflow, in the order of asking.

    Args:
        home: where results lie.
        dataset: of that dataset alone; empty for all.
        say: told what is going on.
        anew: put the store's file aside first; else what stands there stays.

    Returns:
        How many benchmarks were written.

    Raises:
        DataError: nothing was ever asked for; or MLflow does not work.
    """
    from mtlbench.experiment import track_document
    from mtlbench.stored import compare_stored
    from mtlbench.tracking import own_store, store_file

    every = sorted(_all_asked(home, dataset, say), key=lambda asked: asked.at)
    if not every:
        raise DataError(f"Nothing has been run in {home.root}. Run something: mtlbench run --method mmoe")
    if anew and own_store() and store_file(home).exists():
        aside = free_name(store_file(home).with_name(f"{store_file(home).name}-before"))
        store_file(home).rename(aside)
        say(f"The old store lies in {home.relative(aside)}.")
    written = 0
    for asked in every:
        name = asked.benchmark.name or ", ".join(dict.fromkeys(arm.method for arm in asked.benchmark.run))
        try:
            document = compare_stored(
                home,
                asked.benchmark,
                asked.dataset,
                say,
                asked.benchmark.family,
                fingerprint=asked.fingerprint,
            )
        except MtlbenchError as error:  # no result any more, or of a plugin that is not loaded
            say(f"{name} on {asked.dataset} is left out: {error}")
            continue
        results = [_result(home, run) for run in document["runs"]]
        if track_document(home, asked.benchmark.name, results, document, say) is None:
            raise DataError("MLflow took nothing; results/ is as it was.")
        say(f"{name} on {asked.dataset}: {len(results)} runs.")
        written += 1
    return written


def _result(home: Home, run: Mapping[str, Any]) -> Result:
    file = home.root / str(run["result"])
    return Result(file.parent, json.loads(file.read_text(encoding="utf-8")))


def _all_asked(home: Home, dataset: str, say: Say) -> Iterator[Asked]:
    for file in _files(home, dataset):
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            benchmark = fill(Benchmark, stored["benchmark"], home.relative(file))
            yield Asked(benchmark, stored["dataset"], stored["fingerprint"], stored["at"])
        except (ValueError, KeyError, TypeError, MtlbenchError) as error:
            say(f"{home.relative(file)} cannot be read and is left out: {error}")


def _files(home: Home, dataset: str) -> list[Path]:
    return sorted(home.asked(dataset or "*").parent.glob(f"{dataset or '*'}/*.json"))
