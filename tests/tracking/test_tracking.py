"""MLflow is read back with its own client. The tests share one store, as making one takes seconds."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mtlbench import tracking
from mtlbench.files import LOCK
from mtlbench.home import Home
from mtlbench.results import Result
from mtlbench.tracking import artifact_folder, store_file, store_uri, sweep, track
from mtlbench.tracking.records import COST

FINGERPRINT = "0123abcd"
TASKS = (("click", "binary"), ("rating", "regression"))


@pytest.fixture(autouse=True)
def no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("tracking"))


def result(method: str, seed: int, dataset: str, auc: float = 0.7, **options: Any) -> Result:
    """A finished run; its figures are simple functions of the seed."""
    training = {"epochs": 4, "batch_rows": 512, "learning_rate": 0.003, "weight_decay": 1e-05}
    training |= {"evaluations_per_epoch": 2, "patience": 2}
    run = {
        "fingerprint": FINGERPRINT,
        "method": method,
        "method_options": {"dropout": 0.0, "tower": [16], **options},
        "balancer": "equal",
        "balancer_options": {},
        "training": training,
        "seed": seed,
        "revision": {"method": 1},
    }
    test = {"click": {"auc": auc + seed / 100, "gauc": None}, "rating": {"r2": 0.5}}
    evaluations = [
        {
            "step": step,
            "epoch": step / 10,
            "train_loss": {"click": 1 / step, "rating": 2 / step},
            "validation": {"click": 0.5 + step / 100, "rating": 0.1},
        }
        for step in (10, 20, 30)
    ]
    data = {
        "hash": f"{method}-{seed}-{options}",
        "dataset": dataset,
        "fingerprint": FINGERPRINT,
        "simulated": True,
        "schema": {
            "fields": [],
            "tasks": [{"name": name, "kind": kind} for name, kind in TASKS],
            "cluster": "user",
            "time": "",
        },
        "run": run,
        "metrics": {"test": test, "test_given_view": {"click": {"auc": 0.6}}},
        "costs": {"parameters": 1000, "wall_seconds": 2.5},
        "history": [{"tasks": ["click", "rating"], "evaluations": evaluations}],
        "device": "cpu",
        "versions": {"torch": "2.13.0"},
        "commit": "abc",
        "finished_at": "2026-01-02T03:04:05+00:00",
    }
    return Result(Path("nowhere"), json.loads(json.dumps(data)))


def document(results: Sequence[Result], verdicts: Mapping[str, str], gain: float = 0.01) -> dict[str, Any]:
    """What `run --json` prints, as far as it is tracked; a verdict for every method but the first."""
    others = list(dict.fromkeys(r.method for r in results))[1:]
    about = [{"method": method, "balancer": "equal"} for method in others]
    ratio = {"method": 1000.0, "single_task": 500.0, "ratio": 2.0}
    return {
        "dataset": results[0].data["dataset"],
        "fingerprint": FINGERPRINT,
        "simulated": True,
        "runs": [{"method": r.method, "seed": r.seed, "status": "done"} for r in results],
        "comparisons": [
            {
                **arm,
                "baseline": results[0].method,
                "task": task,
                "metric": "auc",
                "gain": gain,
                "interval": [gain - 0.004, gain + 0.004],
                "verdict": verdict,
            }
            for arm in about
            for task, verdict in verdicts.items()
        ],
        "summaries": [{**arm, "verdict": "SEESAW", "costs": {"parameters": ratio}} for arm in about],
    }


VERDICTS = {"click": "POSITIVE", "rating": "NEGATIVE"}


def grid(dataset: str, seeds: int = 2) -> list[Result]:
    return [result(method, seed, dataset) for method in ("single-task", "mmoe") for seed in range(seeds)]


def refuse(message: str) -> None:
    raise AssertionError(message)


def write(home: Home, results: Sequence[Result], **settings: Any) -> str:
    given = settings.pop("document", None) or document(results, VERDICTS)
    dataset = str(results[0].data["dataset"])
    experiment = track(
        home, dataset, settings.pop("benchmark", "demo"), results, given, warn=refuse, **settings
    )
    assert experiment is not None
    return experiment


def client(home: Home) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store_uri(home))


def read(home: Home, experiment: str, level: str = "") -> dict[str, Any]:
    """The runs of an experiment by name."""
    runs = client(home).search_runs([experiment], f"tags.level = '{level}'" if level else "")
    by_name = {run.info.run_name: run for run in runs}
    assert len(by_name) == len(runs)
    return by_name


def test_an_experiment_a_dataset_a_run_a_benchmark_a_method_and_a_seed(shared: Home) -> None:
    experiment = write(shared, grid("levels"))
    assert client(shared).get_experiment(experiment).name == "levels"
    runs = read(shared, experiment)
    below = {
        name: next(
            (n for n, r in runs.items() if r.info.run_id == run.data.tags.get("mlflow.parentRunId")), None
        )
        for name, run in runs.items()
    }
    assert below == {
        "demo (simulated)": None,
        "single-task": "demo (simulated)",
        "mmoe": "demo (simulated)",
        "single-task seed 0": "single-task",
        "single-task seed 1": "single-task",
        "mmoe seed 0": "mmoe",
        "mmoe seed 1": "mmoe",
    }
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {run.data.tags["simulated"] for run in runs.values()} == {"true"}


def test_a_seed_has_its_metrics_curves_settings_and_tags(shared: Home) -> None:
    experiment = write(shared, grid("seed"))
    run = read(shared, experiment)["mmoe seed 1"]
    assert run.data.metrics["test/click/auc"] == 0.71
    assert run.data.metrics["test_given_view/click/auc"] == 0.6
    assert run.data.metrics[f"{COST}/parameters"] == 1000
    assert "test/click/gauc" not in run.data.metrics, "an undefined metric is left out"
    history = client(shared).get_metric_history(run.info.run_id, "validation/click/auc")
    assert [(point.step, point.value) for point in history] == [(10, 0.6), (20, 0.7), (30, 0.8)]
    assert run.data.metrics["validation/rating/r2"] == 0.1
    loss = client(shared).get_metric_history(run.info.run_id, "train_loss/rating")
    assert [(point.step, point.value) for point in loss] == [(10, 0.2), (20, 0.1), (30, 2 / 30)]
    assert run.data.params["seed"] == "1"
    assert run.data.params["method.tower"] == "16"
    assert run.data.params["training.learning_rate"] == "0.003"
    tags = {"dataset": "seed", "fingerprint": FINGERPRINT, "method": "mmoe", "balancer": "equal"}
    tags |= {"run_hash": "mmoe-1-{}", "commit": "abc", "benchmark": "demo"}
    assert tags.items() <= run.data.tags.items()
    assert run.info.end_time - run.info.start_time == 2500


def test_a_method_has_means_over_seeds_gains_verdicts_and_costs(shared: Home) -> None:
    run = read(shared, write(shared, grid("method")), "method")["mmoe"]
    assert run.data.metrics["test/click/auc"] == pytest.approx(0.705)
    assert run.data.metrics["gain/click"] == 0.01
    assert run.data.metrics[f"{COST}/parameters_ratio"] == 2
    assert run.data.tags["verdict.click"] == "POSITIVE"
    assert run.data.tags["verdict.rating"] == "NEGATIVE"
    assert run.data.tags["verdict"] == "SEESAW"
    assert run.data.tags["seeds"] == "0 1"
    assert (
        "| mmoe | click | auc | +0.0100 | +0.0060 to +0.0140 | POSITIVE |"
        in run.data.tags["mlflow.note.content"]
    )
    assert "seed" not in run.data.params


def test_the_benchmark_run_is_not_empty(shared: Home) -> None:
    """MLflow shows no chart for a parent without metrics, and a newcomer sees nothing else."""
    files = {"config.json": "{}", "verdicts.md": "# Heading\n\n| a table |"}
    run = read(shared, write(shared, grid("top"), artifacts=files), "benchmark")["demo (simulated)"]
    assert run.data.metrics == {
        "gain/click of mmoe": 0.01,
        "gain/rating of mmoe": 0.01,
        "verdicts/positive": 1,
        "verdicts/negative": 1,
    }
    assert "(simulated data)" in run.data.tags["mlflow.note.content"]
    assert run.data.tags["mlflow.note.content"].endswith("\n\n| a table |")
    assert "Heading" not in run.data.tags["mlflow.note.content"]
    found = {file.path for file in client(shared).list_artifacts(run.info.run_id)}
    assert found == set(files)
    assert (
        artifact_folder(shared) / "top" / run.info.run_id / "artifacts" / "config.json"
    ).read_text() == "{}"


def test_the_page_that_opens_shows_gains_and_verdicts_of_the_last_benchmark(shared: Home) -> None:
    experiment = write(shared, grid("view"), benchmark="one's own")
    view = json.loads(client(shared).get_experiment(experiment).tags["mlflow.sharedViewState.mtlbench"])
    shown = {r.info.run_name for r in client(shared).search_runs([experiment], view["searchFilter"])}
    assert shown == {"single-task", "mmoe"}
    assert "tags.`verdict.click`" in view["selectedColumns"]
    assert "metrics.`gain/click`" in view["selectedColumns"]


def contents(home: Home, experiment: str) -> dict[str, Any]:
    """All that a store holds of an experiment's runs, every point included."""
    reader = client(home)
    return {
        run.info.run_id: (
            run.data.tags,
            run.data.params,
            run.info.status,
            run.info.end_time,
            {k: [str(p) for p in reader.get_metric_history(run.info.run_id, k)] for k in run.data.metrics},
        )
        for run in reader.search_runs([experiment])
    }


def test_the_same_again_writes_nothing(shared: Home) -> None:
    experiment = write(shared, grid("again"), artifacts={"a.txt": "a"})
    before = contents(shared, experiment)
    assert write(shared, grid("again"), artifacts={"a.txt": "a"}) == experiment
    assert contents(shared, experiment) == before


def test_a_changed_verdict_is_brought_up_to_date(shared: Home) -> None:
    results = grid("changed")
    experiment = write(shared, results)
    write(shared, results, document=document(results, {"click": "INCONCLUSIVE"}, gain=-0.002))
    runs = read(shared, experiment)
    assert len(runs) == 7
    assert runs["mmoe"].data.metrics["gain/click"] == -0.002
    assert runs["mmoe"].data.tags["verdict.click"] == "INCONCLUSIVE"
    assert "verdict.rating" not in runs["mmoe"].data.tags, "no longer in the family"


def test_more_seeds_join_their_method(shared: Home) -> None:
    experiment = write(shared, grid("more", seeds=1))
    write(shared, grid("more", seeds=3))
    runs = read(shared, experiment)
    assert len(runs) == 1 + 2 + 6
    assert runs["mmoe"].data.metrics["test/click/auc"] == pytest.approx(0.71)
    assert runs["mmoe"].data.tags["seeds"] == "0 1 2"


def test_benchmarks_and_ad_hoc_runs_stand_apart(shared: Home) -> None:
    experiment = write(shared, grid("apart"))
    write(shared, grid("apart"), benchmark=None)
    tops = client(shared).search_runs([experiment], "tags.level = 'benchmark'")
    assert {run.info.run_name for run in tops} == {"demo (simulated)", "ad hoc (simulated)"}
    assert len(client(shared).search_runs([experiment])) == 14


def test_arms_of_one_method_keep_their_own_verdicts(shared: Home) -> None:
    """Two arms that differ in an option are told apart by name, by seeds and by verdict."""
    results = [
        result("single-task", 0, "arms"),
        result("mmoe", 0, "arms"),
        result("mmoe", 0, "arms", dropout=0.5),
    ]
    given = document(results[:1] + results[1:2], {"click": "POSITIVE"})
    for row in given["comparisons"]:
        row["method_options"] = results[1].data["run"]["method_options"]
    other = {**given["comparisons"][0], "verdict": "NEGATIVE"}
    other["method_options"] = results[2].data["run"]["method_options"]
    given["comparisons"].append(other)
    runs = read(shared, write(shared, results, document=given), "method")
    assert runs["mmoe"].data.tags["verdict.click"] == "POSITIVE"
    assert runs["mmoe (dropout=0.5)"].data.tags["verdict.click"] == "NEGATIVE"


def test_any_name_of_a_task_or_a_benchmark_will_do(shared: Home) -> None:
    odd = 'add@cart, "now"'
    one = result("single-task", 0, "odd")
    one.data["metrics"]["test"][odd] = {"auc": 0.5}
    experiment = write(shared, [one], benchmark='it\'s "mine"; 100 %')
    assert read(shared, experiment, "seed")["single-task seed 0"].data.metrics["test/add cart now/auc"] == 0.5
    write(shared, [one], benchmark='it\'s "mine"; 100 %')
    assert len(read(shared, experiment)) == 3


def test_long_curves_go_in_several_calls(shared: Home) -> None:
    one = result("single-task", 0, "long")
    entry = one.data["history"][0]["evaluations"][0]
    one.data["history"][0]["evaluations"] = [{**entry, "step": step} for step in range(1, 601)]
    run = read(shared, write(shared, [one]), "seed")["single-task seed 0"]
    for name in ("train_loss/click", "validation/rating/r2"):
        history = client(shared).get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == list(range(1, 601))


@pytest.fixture(scope="module")
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def unfinished(home: Home, experiment: str, pid: int, host: str = "") -> str:
    tags = {"host": host or socket.gethostname(), "pid": str(pid)}
    return str(client(home).create_run(experiment, tags=tags).info.run_id)


def test_sweep_ends_runs_whose_process_is_gone(shared: Home, dead_pid: int) -> None:
    experiment = write(shared, grid("swept"))
    dead = unfinished(shared, experiment, dead_pid)
    alive = unfinished(shared, experiment, os.getpid())
    elsewhere = unfinished(shared, experiment, dead_pid, host="another machine")
    assert sweep(shared) == 1
    assert sweep(shared) == 0
    statuses = {run: client(shared).get_run(run).info.status for run in (dead, alive, elsewhere)}
    assert statuses == {dead: "KILLED", alive: "RUNNING", elsewhere: "RUNNING"}


def test_a_run_that_was_cut_short_is_completed(shared: Home, dead_pid: int) -> None:
    """The writer died between making a run and ending it: nothing of it is lost or stands there twice."""
    experiment = write(shared, grid("cut"))
    before = contents(shared, experiment)
    run_id = read(shared, experiment)["mmoe seed 0"].info.run_id
    client(shared).update_run(run_id, status="RUNNING")
    client(shared).set_tag(run_id, "pid", str(dead_pid))
    write(shared, grid("cut"))
    after = contents(shared, experiment)
    assert after.keys() == before.keys()
    assert client(shared).get_run(run_id).info.status == "FINISHED"
    curve = client(shared).get_metric_history(run_id, "validation/click/auc")
    assert [point.step for point in curve] == [10, 20, 30]


def test_two_that_write_the_same_at_once_give_each_run_once(
    shared: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a client of its own, as two processes have; the first waits for the other to have searched."""
    both, searched = threading.Barrier(2), tracking._Ledger.__init__

    def search(*given: Any) -> None:
        searched(*given)
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.5)

    monkeypatch.setattr(tracking._Ledger, "__init__", search)
    results = grid("at once", seeds=1)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: write(shared, results), range(2))
    assert first == second
    assert len(read(shared, first)) == 5
    assert not (shared.results / LOCK).exists()


def test_an_experiment_that_was_deleted_comes_back(shared: Home) -> None:
    experiment = write(shared, grid("deleted"))
    client(shared).delete_experiment(experiment)
    assert write(shared, grid("deleted")) == experiment


def test_files_are_not_written_to_where_results_used_to_be(shared: Home) -> None:
    results = grid("moved")
    elsewhere = (shared.root / "gone").as_uri()
    client(shared).create_experiment("moved", artifact_location=elsewhere)
    said: list[str] = []
    given = document(results, VERDICTS)
    assert track(shared, "moved", "demo", results, given, {"a.txt": "a"}, said.append) is not None
    assert len(said) == 1
    assert "used to be" in said[0]
    assert not (shared.root / "gone").exists()


def off(home: Home) -> str:
    """Track where it cannot work: the one line of warning."""
    said: list[str] = []
    results = grid("off")
    assert track(home, "off", None, results, document(results, VERDICTS), warn=said.append) is None
    assert sweep(home) == 0
    assert len(said) == 1
    assert "\n" not in said[0]
    return said[0]


def test_without_mlflow_tracking_is_off(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert "pip install mlflow" in off(home)


def test_a_damaged_store_costs_a_warning(home: Home) -> None:
    store_file(home).parent.mkdir(parents=True)
    store_file(home).write_text("this is not a database" * 100)
    assert str(store_file(home)) in off(home)


def test_a_store_that_cannot_be_made_costs_a_warning(home: Home) -> None:
    home.results.write_text("a file where the folder should be")
    off(home)


def test_a_server_that_does_not_answer_costs_a_warning(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{unused.getsockname()[1]}")
        off(home)


def test_another_store_is_used_where_the_environment_names_one(
    shared: Home, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(shared))
    experiment = write(home, grid("named"))
    assert client(shared).get_experiment(experiment).name == "named"
    assert not store_file(home).exists()


def test_a_store_is_left_alone_where_there_is_none(home: Home) -> None:
    assert sweep(home) == 0
    assert not home.results.exists()


def test_mlflow_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, mtlbench.tracking, mtlbench.tracking.ui; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_seen_inside_becomes_curves(shared: Home) -> None:
    """Numbers, one a task or a pair of tasks; of independent models each its own."""
    (one,) = [r for r in grid("inside", seeds=1) if r.method == "mmoe"]
    inside = {
        "dead_units": {"share": 0.25, "units": 8, "parts": {}},
        "gates": {"entropy": {"click": 0.5, "rating": None}},
        "gradients": {"dense": {"cosines": [[1.0, -0.5], [-0.5, 1.0]], "conflict_share": 1.0}},
        "affinity": [[1e-5, 2e-5], [-3e-5, 1e-5]],
    }
    entry = one.data["history"][0]["evaluations"][1]
    entry |= {"diagnostics": inside, "task_weights": {"click": 1.5, "rating": 0.5}}
    run = read(shared, write(shared, [one]))["mmoe seed 0"]
    expected = {
        "dead_units": 0.25,
        "gate_entropy/click": 0.5,
        "gradient_cosine/click_rating": -0.5,
        "conflict_share": 1.0,
        "affinity/click_rating": 2e-5,
        "affinity/rating_click": -3e-5,
        "task_weight/click": 1.5,
        "task_weight/rating": 0.5,
    }
    usual = ("test", "validation", "train_loss", COST)
    assert {n: v for n, v in run.data.metrics.items() if not n.startswith(usual)} == expected
    (point,) = client(shared).get_metric_history(run.info.run_id, "dead_units")
    assert point.step == 20
