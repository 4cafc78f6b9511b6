"""`results/runs/`: find finished runs, set damaged ones aside, write each run atomically."""

from contextlib import suppress
from dataclasses import asdict

import torch
from safetensors.torch import save_file

from mtlbench.config import RunSpec
from mtlbench.devices import device_name
from mtlbench.evaluate import test_metrics
from mtlbench.files import atomic_folder, free_name, seal, write_json
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.provenance import commit, now, versions
from mtlbench.results import FORMAT, WEIGHTS, Result, damage, read_result
from mtlbench.runs.findings import examine
from mtlbench.runs.outcome import FinishedRun, Outcome


def finished(home: Home, dataset: str, spec: RunSpec) -> Result | None:
    """Return the result of exactly that run, or None if it is missing or damaged."""
    folder = home.runs(dataset) / spec.hash
    return read_result(folder) if damage(folder, spec.to_json()) is None else None


def set_aside(home: Home, dataset: str, spec: RunSpec) -> str:
    """Move a damaged or foreign folder out of the run's place; return a message, empty if none was moved."""
    folder = home.runs(dataset) / spec.hash
    why = damage(folder, spec.to_json())
    if why is None:
        return ""
    target = free_name(home.set_aside(dataset) / spec.hash)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(target)
    except FileNotFoundError:  # another process was faster
        return ""
    return f"{home.relative(folder)} is no result: {why}. It lies in {home.relative(target)} now."


def note_failure(home: Home, dataset: str, outcome: Outcome) -> None:
    """Record why a run failed, if the disk has room; remove the record once the run is done."""
    file = home.failed(dataset) / f"{outcome.spec.hash}.json"
    if outcome.status == "failed":
        run = {"run": outcome.spec.to_json(), "reason": outcome.reason}
        with suppress(OSError):
            write_json(file, {**run, "commit": commit(), "failed_at": now()})
    else:
        file.unlink(missing_ok=True)


def store_run(
    home: Home, prepared: Prepared, spec: RunSpec, run: FinishedRun, device: torch.device
) -> Result:
    """Write the folder of one run atomically."""
    schema = prepared.schema
    tables = test_metrics(schema, run.scores)
    leaks = prepared.manifest["guards"]
    findings = examine(schema, run.scores, tables["test"], leaks, constant=run.constant)
    data = {
        "format": FORMAT,
        "hash": spec.hash,
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "simulated": prepared.simulated,
        "run": spec.to_json(),
        "built_from": asdict(run.config),
        "tasks": list(schema.task_names),
        "schema": schema.to_json(),
        "metrics": tables,
        "guards": [asdict(finding) for finding in findings],
        "warnings": [finding.message for finding in findings if not finding.explained],
        "costs": asdict(run.costs),
        "checkpoint_criterion": run.criterion,
        "checkpoint": run.checkpoint,
        "history": run.history,
        "device": device_name(device),
        "versions": versions("torch", "numpy"),
        "commit": commit(),
        "finished_at": now(),
    }
    target = home.runs(prepared.name) / spec.hash
    with atomic_folder(target) as folder:
        run.scores.save(folder / "scores.npz")
        if run.weights:
            save_file(dict(run.weights), folder / WEIGHTS)
        write_json(folder / "result.json", data)
        seal(folder)
    return Result(target, data)
