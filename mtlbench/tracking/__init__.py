"""Tracking of runs in MLflow, which only this file imports, and only when it is needed.

There is one experiment per dataset, in it one run per benchmark, below that one run per arm (a method with a
balancer), and below that one run per seed. `results/` is authoritative: the store can be deleted, and the
next `mtlbench run` writes it again. Runs are found by their tags, so nothing is written twice, and an
interrupted run is completed.
"""

import getpass
import json
import logging
import os
import re
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtlbench.files import alone_in
from mtlbench.home import Home
from mtlbench.results import Result
from mtlbench.tracking.records import (
    NOTE,
    Record,
    arm_record,
    arms_of,
    benchmark_record,
    columns,
    seed_record,
    text,
)

AD_HOC = "ad hoc"
"""Benchmark name of runs that no benchmark file asked for."""
BATCH = 800
"""Points per call: with up to 100 parameters and 100 tags, a call stays within MLflow's limit of 1,000."""
USED = "mtlbench.used"
"""Name of the experiment tag that holds when it was last written to, in nanoseconds."""
VIEW = "mtlbench"
"""Name of the stored view that the UI opens."""

_KEY, _ARTIFACTS = "mtlbench.key", "mtlbench.artifacts"
_ELSEWHERE = "MLFLOW_TRACKING_URI"


def store_uri(home: Home) -> str:
    """Return the store's URI: `$MLFLOW_TRACKING_URI` if set, else a SQLite file in `results/`."""
    return os.environ.get(_ELSEWHERE) or f"sqlite:///{store_file(home).as_posix()}"


def own_store() -> bool:
    """Return whether the store is the home's SQLite file, not one that `$MLFLOW_TRACKING_URI` names."""
    return not os.environ.get(_ELSEWHERE)


def store_file(home: Home) -> Path:
    """Return the path of the SQLite file used if `$MLFLOW_TRACKING_URI` is not set."""
    return home.results / "mlflow.db"


def artifact_folder(home: Home) -> Path:
    """Return the folder for artifacts of a store that is not a server."""
    return home.results / "mlartifacts"


def _to_stderr(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201


def track(
    home: Home,
    dataset: str,
    benchmark: str | None,
    results: Sequence[Result],
    document: Mapping[str, Any],
    artifacts: Mapping[str, str] | None = None,
    warn: Callable[[str], None] = _to_stderr,
) -> str | None:
    """Write finished runs and their verdicts; what is already stored is not written again.

    Args:
        home: where results are stored.
        dataset: name of the dataset, also used for the experiment.
        benchmark: name of the benchmark; None for runs that no benchmark file asked for.
        results: the finished runs, new and reused, of one preparation of the data.
        document: the document that `run --json` prints.
        artifacts: file name -> text, kept with the benchmark's run; `verdicts.md` is also its description.
        warn: given one line if tracking does not work. Nothing is raised: tracking never makes a run fail.

    Returns:
        The experiment's id; None if tracking does not work.
    """
    files = artifacts or {}
    try:
        client = _client(home)
        with _alone_at(home):
            _sweep(client)
            experiment = _experiment(client, home, dataset, document)
            ledger = _Ledger(client, experiment, benchmark or AD_HOC, document)
            arms = arms_of(results, document)
            top = ledger.write(benchmark_record(benchmark or AD_HOC, arms, document, files))
            for arm in arms:
                above = ledger.write(arm_record(arm, document), top)
                for result in arm.results:
                    ledger.write(seed_record(arm, result), above)
            _attach(client, home, top, files, warn)
            client.set_experiment_tag(
                experiment, f"mlflow.sharedViewState.{VIEW}", _view(ledger.group, columns(arms))
            )
            client.set_experiment_tag(experiment, USED, str(time.time_ns()))
    except ImportError as error:
        warn(f"MLflow is off: {error}. Mend it with pip install mlflow, or say --no-track.")
        return None
    except Exception as error:  # MLflow, SQLAlchemy, Alembic and the file system raise dozens of kinds
        reason = next(iter(str(error).splitlines()), "")
        warn(
            f"MLflow is off: {store_uri(home)}: {type(error).__name__}: {reason} "
            f"(The results are safe in {home.results}; once the store works, the next run writes them.)"
        )
        return None
    return experiment


def sweep(home: Home) -> int:
    """Mark runs as KILLED if their process on this machine died while writing them; return how many.

    Never raises.
    """
    try:
        return _sweep(_client(home)) if _may_have_running(home) else 0
    except Exception:  # as in `track`, which says what is wrong
        return 0


def _may_have_running(home: Home) -> bool:
    """Return whether a run may be RUNNING, asking the SQLite file itself: loading MLflow takes seconds."""
    if not own_store():
        return True
    if not store_file(home).is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{store_file(home).as_uri()}?mode=ro", uri=True)) as store:
            return store.execute("SELECT 1 FROM runs WHERE status = 'RUNNING' LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True


def _client(home: Home) -> Any:
    """Return a client of the store; this loads MLflow, quietly and without its telemetry."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # stdout is for `--json`
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a dead server: seconds, not minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if own_store():
        home.results.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=store_uri(home))


def _alone_at(home: Home) -> AbstractContextManager[None]:
    """Lock the home's store, so that nobody else makes a run between search and creation; not for servers."""
    return alone_in(home.results, wait=True) if own_store() else nullcontext()


def _experiment(client: Any, home: Home, dataset: str, document: Mapping[str, Any]) -> str:
    """Return the id of the dataset's experiment, created if missing and restored if deleted."""
    found = client.get_experiment_by_name(dataset)
    if found is not None:
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    simulated = (
        "Simulated data: its numbers say nothing about a real shop.\n\n" if document["simulated"] else ""
    )
    tags = {
        "dataset": dataset,
        "simulated": text(document["simulated"]),
        "mlflow.experimentKind": "custom_model_development",
        USED: str(time.time_ns()),
        NOTE: f"{simulated}Written by mtlbench.\n\nA run a benchmark, below it a run a method (means over "
        "seeds, gain against single-task, verdicts), below it a run a seed (learning curves).",
    }
    remote = store_uri(home).startswith(("http:", "https:", "databricks"))
    location = None if remote else (artifact_folder(home) / dataset).as_uri()
    return str(client.create_experiment(dataset, artifact_location=location, tags=tags))


class _Ledger:
    """The store's runs of one benchmark on one preparation of a dataset."""

    def __init__(self, client: Any, experiment: str, benchmark: str, document: Mapping[str, Any]) -> None:
        self._client, self._experiment = client, experiment
        fingerprint = str(document["fingerprint"])
        self.group = f"{_word(benchmark)}-{sha256(f'{benchmark} {fingerprint}'.encode()).hexdigest()[:8]}"
        self._tags = {
            "dataset": str(document["dataset"]),
            "fingerprint": fingerprint,
            "simulated": text(document["simulated"]),
            "benchmark": benchmark,
            "group": self.group,
            "mlflow.source.name": "mtlbench run",
            "mlflow.source.type": "LOCAL",
            "mlflow.user": _user(),
        }
        found = _search(client, experiment, f"tags.group = '{self.group}'")
        self._known = {run.data.tags.get(_KEY): run for run in found}

    def write(self, record: Record, parent: str = "") -> str:
        """Create the run, complete it, or bring it up to date; what is already stored is not sent again.

        Returns:
            The run's id.
        """
        from mlflow.entities import Metric, Param, RunTag

        run = self._known.get(record.key)
        whole = run is not None and run.info.status == "FINISHED"
        if run is None:
            run = self._create(record, parent)
        run_id, tags = str(run.info.run_id), run.data.tags
        # A changed metric needs the latest time of its name. A curve keeps its time, so writing it again
        # after an interruption adds no point.
        now = int(time.time() * 1000)
        had = run.data.metrics if whole else {}
        points = [
            Metric(name, value, now, 0) for name, value in record.metrics.items() if had.get(name) != value
        ]
        if not whole:
            points += [Metric(name, value, record.end, step) for name, step, value in record.curves]
        params = [Param(name, value) for name, value in record.params.items() if name not in run.data.params]
        changed = [RunTag(name, value) for name, value in record.tags.items() if tags.get(name) != value]
        if points or params or changed:
            self._client.log_batch(run_id, points[:BATCH], params, changed)
        for start in range(BATCH, len(points), BATCH):
            self._client.log_batch(run_id, points[start : start + BATCH])
        for name in tags:
            if name.startswith("verdict") and name not in record.tags:
                self._client.delete_tag(run_id, name)
        if not whole or run.info.end_time != record.end:
            self._client.set_terminated(run_id, "FINISHED", record.end)
        return run_id

    def _create(self, record: Record, parent: str) -> Any:
        process = {"host": socket.gethostname(), "pid": str(os.getpid())}  # for `sweep`, if it stays RUNNING
        tags = {**self._tags, **record.tags, **process, _KEY: record.key}
        if parent:
            tags["mlflow.parentRunId"] = parent
        return self._client.create_run(self._experiment, record.start, tags, record.name)


def _word(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def _attach(
    client: Any, home: Home, run_id: str, artifacts: Mapping[str, str], warn: Callable[[str], None]
) -> None:
    """Store texts as files of a run, unless the same ones are already there."""
    run = client.get_run(run_id)
    digest = sha256(json.dumps(dict(artifacts), sort_keys=True).encode()).hexdigest()[:20]
    if not artifacts or run.data.tags.get(_ARTIFACTS) == digest:
        return
    if own_store() and not run.info.artifact_uri.startswith(artifact_folder(home).as_uri()):
        warn(  # MLflow stores absolute paths, and would create the old folder again
            f"MLflow keeps files in {run.info.artifact_uri}, where results/ used to be. None are written. "
            f"Remove {store_file(home)} and run again: the store is made anew."
        )
        return
    for name, content in artifacts.items():
        client.log_text(run_id, content, name)
    client.set_tag(run_id, _ARTIFACTS, digest)


def _view(group: str, shown: Sequence[str]) -> str:
    """Return the view that the UI opens: the methods of the last benchmark, their gains and verdicts.

    MLflow's default view shows one folded line and no metrics. It folds children only if ordered by time.
    """
    view = {
        "searchFilter": f'tags.group = "{group}" AND tags.level = "method"',
        "orderByKey": "tags.`method`",
        "orderByAsc": True,
        "selectedColumns": list(shown),
        "columnOrder": list(shown),
        "columnWidths": {column: 125 if column.startswith("tags") else 90 for column in shown},
    }
    return json.dumps(view)


def _sweep(client: Any) -> int:
    swept = 0
    mine = f"tags.host = '{socket.gethostname()}' AND attributes.status = 'RUNNING'"
    for experiment in client.search_experiments(filter_string=f"tags.`{USED}` LIKE '%'"):
        for run in _search(client, experiment.experiment_id, mine):
            if not _alive(int(run.data.tags.get("pid", 0))):
                client.set_terminated(run.info.run_id, "KILLED")
                swept += 1
    return swept


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # on Windows, os.kill would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _search(client: Any, experiment: str, filter_string: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment], filter_string, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"
