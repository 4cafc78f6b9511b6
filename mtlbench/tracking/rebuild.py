"""Rebuild MLflow's store from `results/` alone."""

import json
from collections.abc import Mapping
from typing import Any

from mtlbench.errors import DataError, MtlbenchError
from mtlbench.experiment.requests import requests
from mtlbench.files import free_name
from mtlbench.home import Home
from mtlbench.results import Result, Say


def track_stored(home: Home, dataset: str, say: Say, *, anew: bool) -> int:
    """Write every benchmark that was ever run and has results to MLflow, in the order they were last run.

    Args:
        home: where results are stored.
        dataset: only benchmarks on that dataset; empty for all.
        say: told what is going on.
        anew: move the store's file aside first; otherwise its content is kept.

    Returns:
        The number of benchmarks written.

    Raises:
        DataError: nothing was ever run, or MLflow does not work.
    """
    from mtlbench.experiment.run import track_document
    from mtlbench.experiment.stored import compare_stored
    from mtlbench.tracking import own_store, store_file

    every = sorted(requests(home, dataset, say), key=lambda request: request.at)
    if not every:
        of, on = (f" on {dataset!r}", f" --dataset {dataset}") if dataset else ("", "")
        raise DataError(
            f"Nothing has been run{of} in {home.root}. Run something: mtlbench run{on} --method mmoe"
        )
    if anew and own_store() and store_file(home).exists():
        aside = free_name(store_file(home).with_name(f"{store_file(home).name}-before"))
        store_file(home).rename(aside)
        say(f"The old store lies in {home.relative(aside)}.")
    written = 0
    for request in every:
        name = request.benchmark.name or ", ".join(dict.fromkeys(arm.method for arm in request.benchmark.run))
        try:
            document = compare_stored(
                home,
                request.benchmark,
                request.dataset,
                say,
                request.benchmark.family,
                fingerprint=request.fingerprint,
            )
        except MtlbenchError as error:  # the results are gone, or need a plugin that is not loaded
            say(f"{name} on {request.dataset} is left out: {error}")
            continue
        results = [_result(home, run) for run in document["runs"]]
        if track_document(home, request.benchmark.name, results, document, say) is None:
            raise DataError("MLflow took nothing; results/ is as it was.")
        say(f"{name} on {request.dataset}: {len(results)} runs.")
        written += 1
    return written


def _result(home: Home, run: Mapping[str, Any]) -> Result:
    file = home.root / str(run["result"])
    return Result(file.parent, json.loads(file.read_text(encoding="utf-8")))
