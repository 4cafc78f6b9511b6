"""Which benchmarks have been run: stored next to the runs, so that MLflow's store can be rebuilt.

results/runs/.asked/<dataset>/<hash>.json       a benchmark as it was run, and the fingerprint of the data
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from mtlbench.config import Benchmark, fill
from mtlbench.errors import MtlbenchError
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.results import Say


@dataclass(frozen=True, slots=True)
class Request:
    """One benchmark that `run` was asked for, and when."""

    benchmark: Benchmark
    dataset: str
    fingerprint: str
    at: str


def note_request(home: Home, benchmark: Benchmark, dataset: str, fingerprint: str) -> None:
    """Store the benchmark that is being run; storing the same one again only updates its time."""
    what = {"benchmark": asdict(benchmark), "dataset": dataset, "fingerprint": fingerprint}
    name = sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    write_json(home.asked(dataset) / f"{name}.json", {**what, "at": at})


def requests(home: Home, dataset: str, say: Say) -> Iterator[Request]:
    """Yield the stored requests of a dataset (empty: of all); report and skip those that cannot be read."""
    for file in _files(home, dataset):
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            benchmark = fill(Benchmark, stored["benchmark"], home.relative(file))
            yield Request(benchmark, stored["dataset"], stored["fingerprint"], stored["at"])
        except (ValueError, KeyError, TypeError, MtlbenchError) as error:
            say(f"{home.relative(file)} cannot be read and is left out: {error}")


def _files(home: Home, dataset: str) -> list[Path]:
    return sorted(home.asked(dataset or "*").parent.glob(f"{dataset or '*'}/*.json"))
