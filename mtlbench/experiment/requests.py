"""Which benchmarks have been run: kept beside the runs, so that MLflow's store can be written again.

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
    """What `run` was asked for, once."""

    benchmark: Benchmark
    dataset: str
    fingerprint: str
    at: str


def note_request(home: Home, benchmark: Benchmark, dataset: str, fingerprint: str) -> None:
    """Keep what is run now; the same again changes no more than its time."""
    what = {"benchmark": asdict(benchmark), "dataset": dataset, "fingerprint": fingerprint}
    name = sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:20]
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    write_json(home.asked(dataset) / f"{name}.json", {**what, "at": at})


def requests(home: Home, dataset: str, say: Say) -> Iterator[Request]:
    """All that is kept of a dataset (empty: of all); what cannot be read is said and left out."""
    for file in _files(home, dataset):
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            benchmark = fill(Benchmark, stored["benchmark"], home.relative(file))
            yield Request(benchmark, stored["dataset"], stored["fingerprint"], stored["at"])
        except (ValueError, KeyError, TypeError, MtlbenchError) as error:
            say(f"{home.relative(file)} cannot be read and is left out: {error}")


def _files(home: Home, dataset: str) -> list[Path]:
    return sorted(home.asked(dataset or "*").parent.glob(f"{dataset or '*'}/*.json"))
