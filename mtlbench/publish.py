"""Publish a finished benchmark as small files for version control, with everything needed to trace them.

results/<benchmark>/<dataset>/, or <dataset>-against-<baseline>/ for another baseline than the file's
    README.md           the command, the data, device and versions, the tables
    comparisons.json    every verdict with the figures behind it
    runs.json           one line per run: identity, metrics, costs, checkpoint, device, commit
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mtlbench.config import Benchmark
from mtlbench.errors import DataError, MtlbenchError
from mtlbench.experiment.stored import compare_stored
from mtlbench.files import atomic_folder, write_text
from mtlbench.home import Home
from mtlbench.load import open_prepared
from mtlbench.report import markdown
from mtlbench.results import Say

OF_A_RUN = ("hash", "metrics", "costs", "checkpoint", "device", "commit", "versions", "finished_at")
OF_ALL = (
    "dataset",
    "fingerprint",
    "simulated",
    "family",
    "other_families",
    "comparisons",
    "frontiers",
)


def publish(
    home: Home, benchmark: Benchmark, dataset: str, command: str, say: Say, baseline: str = ""
) -> Path:
    """Write the folder atomically and return it; the runs are not changed.

    Args:
        home: where results are stored.
        benchmark: the benchmark; all its runs, baselines included, must have a result.
        dataset: name of the dataset; empty for the benchmark's.
        command: the command that trained it, as a person would type it.
        say: told what is going on.
        baseline: a baseline other than the file's.

    Raises:
        DataError: runs are missing; the message names the command that trains them.
    """
    benchmark = benchmark.with_baseline(baseline)
    document = compare_stored(home, benchmark, dataset, say, benchmark.family, command=command)
    if document["absent"]:
        raise DataError(
            f"{document['absent']} runs of {benchmark.name} have no result yet, so there is nothing whole to "
            f"publish. Train them: {command}"
        )
    runs = [json.loads((home.root / run["result"]).read_text("utf-8")) for run in document["runs"]]
    name = f"{document['dataset']}-against-{baseline}" if baseline else str(document["dataset"])
    target = home.results / benchmark.name / name
    with atomic_folder(target) as folder:
        origin = _origin(document, runs, command, _data(home, document))
        write_text(folder / "README.md", f"{origin}\n{markdown(document)}")
        kept = {key: document[key] for key in OF_ALL}
        write_text(folder / "comparisons.json", json.dumps(kept, allow_nan=False) + "\n")
        lines = ",\n".join(json.dumps(_of_run(run), allow_nan=False) for run in runs)
        write_text(folder / "runs.json", f"[\n{lines}\n]\n")
    return target


def _of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the published part of a run: its identity and outcome, without the learning curves."""
    return {"run": run["run"], **{key: run[key] for key in OF_A_RUN}}


def _data(home: Home, document: Mapping[str, Any]) -> str:
    """Describe how the data were prepared, if they still exist; else give only their name and fingerprint."""
    name, seen = str(document["dataset"]), f"fingerprint `{document['fingerprint'][:12]}`"
    try:
        manifest = open_prepared(home, name, fingerprint=document["fingerprint"]).manifest
    except MtlbenchError:  # removed, or prepared anew
        return f"{name}, {seen}"
    settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in manifest["settings"].items())
    files = _each(source["name"] for source in manifest["sources"])
    made = f"`{manifest['command']}`" + (f" from {files}" if files else "")
    return f"{name}, {seen}, by {made}" + (f", with {settings}" if settings else "")


def _origin(document: Mapping[str, Any], runs: Iterable[Mapping[str, Any]], command: str, data: str) -> str:
    """Describe where the numbers come from, for a reader who wants to reproduce them."""
    held = list(runs)
    seconds_taken = sum(run["costs"].get("wall_seconds") or 0 for run in held)
    seeds = sorted({run["run"]["seed"] for run in held})
    versions = _each(" ".join(f"{k} {v}" for k, v in run["versions"].items()) for run in held)
    return "\n".join(
        [
            f"Made by `{command}`, {len(held)} runs with seeds {_each(str(s) for s in seeds)}, in "
            f"{seconds_taken / 3600:.1f} hours of one process, with the settings of the benchmark file, else "
            f"the default ones. {_tuned(document)} Nothing was selected on test.",
            "",
            f"- data: {data}",
            f"- device: {_each(run['device'] for run in held)}",
            f"- commit: {_each(str(run['commit']) for run in held)}; revision of the training loop: "
            f"{_each(str(run['run']['revision']['loop']) for run in held)}",
            f"- versions: {versions}",
            "",
        ]
    )


def _tuned(document: Mapping[str, Any]) -> str:
    tuned = dict.fromkeys(c["arm"] for c in document["comparisons"] if c["tuned"])
    return f"Chosen on validation: {', '.join(tuned)}." if tuned else "Nothing was tuned."


def _each(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
