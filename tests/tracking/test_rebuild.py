"""The store of MLflow is written again from results alone."""

import json
import shutil
from typing import Any

import pytest

from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.tracking import store_file, store_uri
from tests.conftest import Command

FAST = ("--epochs", "1", "--batch-rows", "64", "--seeds", "2", "--workers", "1")
WHERE_AND_WHEN = {"pid", "host", "mlflow.parentRunId", "mlflow.log-model.history"}


@pytest.fixture(autouse=True)
def no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def contents(home: Home) -> list[Any]:
    """All that the store says, but for its own names of things, and for where and when it was said."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store_uri(home))
    said = []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            tags = {k: v for k, v in run.data.tags.items() if k not in WHERE_AND_WHEN}
            tags.pop("mtlbench.artifacts", None)  # they name statuses: done then, reused now
            parent = run.data.tags.get("mlflow.parentRunId")
            above = client.get_run(parent).info.run_name if parent else ""
            curves = {
                name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
                if name.startswith("validation")
            }
            figures = (
                sorted(run.data.metrics.items()),
                sorted(run.data.params.items()),
                sorted(curves.items()),
            )
            times = run.info.start_time, run.info.end_time, run.info.status
            said.append([experiment.name, run.info.run_name, above, sorted(tags.items()), figures, times])
    return sorted(said, key=json.dumps)


def test_a_lost_store_is_written_again_as_it_was(
    mtlbench: Command, home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mtlbench("run", "--method", "hard-sharing", *FAST).code == 0
    assert mtlbench("run", "--method", "base-rate", "--no-baseline", *FAST).code == 0
    before = contents(home)
    assert len(before) > 8
    other = Home(home.root / "elsewhere")  # since MLflow, in one process, goes on with a file that is gone
    shutil.copytree(home.results / "runs", other.results / "runs")
    store_file(other).write_text("what is left of a store")
    monkeypatch.setenv("MTLBENCH_HOME", str(other.root))
    answer = mtlbench("track", "--rebuild")
    assert answer.code == 0, answer.err
    assert "2 benchmarks are in MLflow" in answer.err
    assert (other.results / "mlflow.db-before").read_text() == "what is left of a store"
    assert contents(other) == before
    mtlbench("track", "--dataset", "toy")
    assert contents(other) == before


def test_what_was_run_without_tracking_can_be_tracked_later(
    mtlbench: Command, home: Home, toy: Prepared
) -> None:
    mtlbench("run", "--method", "base-rate", "--no-baseline", "--no-track", *FAST)
    assert not store_file(home).exists()
    assert mtlbench("track").code == 0
    assert [run[1] for run in contents(home) if not run[2]] == ["ad hoc (simulated)"]


def test_where_nothing_was_run_it_says_what_to_do(mtlbench: Command, home: Home) -> None:
    answer = mtlbench("track")
    assert answer.code == 3
    assert "mtlbench run --method" in answer.err


def test_a_benchmark_that_has_lost_its_results_is_named_and_left_out(
    mtlbench: Command, home: Home, toy: Prepared
) -> None:
    mtlbench("run", "--method", "base-rate", "--no-baseline", "--no-track", *FAST)
    for folder in home.runs("toy").iterdir():
        for file in folder.iterdir():
            file.unlink()
    (asked,) = home.asked("toy").iterdir()
    asked.with_name("other.json").write_text("{")
    answer = mtlbench("track")
    assert "base-rate on toy is left out" in answer.err
    assert "other.json cannot be read" in answer.err
