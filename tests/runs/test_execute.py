"""From a benchmark to results on disk."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from mtlbench import provenance
from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.errors import UsageError
from mtlbench.experiment.grid import plan, rows_to_train
from mtlbench.experiment.run import reused
from mtlbench.files import alone_in, seal, write_json, write_text
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.metrics import score_task
from mtlbench.results import Result, each_result, read_result
from mtlbench.runs import execute as job
from mtlbench.runs import networks, store
from mtlbench.runs.execute import execute
from mtlbench.runs.outcome import Outcome
from mtlbench.runs.store import finished, note_failure, set_aside
from mtlbench.train import snapshot
from tests.conftest import prepare_anew

CPU = torch.device("cpu")


def planned(prepared: Prepared, *arms: dict[str, Any], **values: Any) -> list[list[RunSpec]]:
    values = {"training": {"epochs": 1, "batch_rows": 64}, "seeds": 1, **values, "run": list(arms)}
    return plan(fill(Benchmark, values, "grid.toml"), prepared.schema, prepared.fingerprint)


@pytest.mark.parametrize("method", ["single-task", "mmoe"])
def test_a_result_holds_what_the_contract_says(home: Home, toy: Prepared, method: str) -> None:
    ((spec,),) = planned(toy, {"method": method})
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.status == "done"
    folder = home.results / "runs" / "toy" / spec.hash
    assert {file.name for file in folder.iterdir()} == {
        "result.json",
        "scores.npz",
        "weights.safetensors",
        "SHA256SUMS",
    }

    data = json.loads((folder / "result.json").read_text())
    assert RunSpec.from_json(data["run"]).hash == spec.hash == data["hash"]
    test = toy.open_split("test")
    with np.load(folder / "scores.npz", allow_pickle=False) as scores:
        np.testing.assert_array_equal(scores["cluster"], test.cluster)
        for k, task in enumerate(toy.schema.tasks):
            label, score = scores[f"label/{task.name}"], scores[f"score/{task.name}"]
            np.testing.assert_array_equal(label, test.labels[:, k])
            assert score.dtype == scores[f"score_best/{task.name}"].dtype == np.float32
            again = score_task(task.kind, label, score, scores["cluster"])
            assert data["metrics"]["test"][task.name] == again
        clicked = scores["label/click"] == 1
        again = score_task(
            "binary",
            scores["label/buy"][clicked],
            scores["score/buy"][clicked],
            scores["cluster"][clicked],
        )
        assert data["metrics"]["test_given_click"] == {"buy": again}
    assert data["costs"]["parameters"] == _stored_parameters(folder / "weights.safetensors")


@pytest.mark.parametrize("method", ["single-task", "mmoe"])
def test_a_result_says_how_good_its_checkpoint_was_on_validation(
    home: Home, toy: Prepared, method: str
) -> None:
    """mean_k M_k / delta_k at the deployable checkpoint; of independent models the mean over them."""
    ((spec,),) = planned(toy, {"method": method}, training={"epochs": 3, "batch_rows": 64})
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.result is not None
    data, deltas = outcome.result.data, {"click": 0.001, "buy": 0.001, "rating": 0.005}
    terms = [
        evaluation["validation"][task] / deltas[task]
        for model in data["history"]
        for evaluation in model["evaluations"]
        for task in model["tasks"]
        if evaluation["step"] == data["checkpoint"][task]["deployable"]
    ]
    assert len(terms) == 3
    assert data["checkpoint_criterion"] == pytest.approx(np.mean(terms))


def test_a_result_holds_its_guards_and_warns_of_what_nothing_explains(home: Home, toy: Prepared) -> None:
    found = {"field": "price", "split": "train", "auc": 0.9}
    above = [
        {**found, "task": "click", "explained": "Planted."},
        {**found, "task": "buy", "explained": ""},
    ]
    write_json(toy.path / "manifest.json", {**toy.manifest, "guards": {"above": above}})
    ((spec,),) = planned(toy, {"method": "mmoe"})
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.result is not None
    assert [(g["guard"], g["tasks"], g["explained"]) for g in outcome.result.data["guards"]] == [
        ("leak", ("click",), True),
        ("leak", ("buy",), False),
    ]
    assert outcome.result.data["warnings"] == ["buy: price alone has AUC 0.900 (train), unexplained"]


def test_what_a_model_was_built_from_is_stored(home: Home, toy: Prepared) -> None:
    """The widths that were fitted, beside the options that asked for them."""
    matched = {"match": "mmoe", "match_options": {"num_experts": 16}}
    ((spec,),) = planned(toy, {"method": "single-task-wide", "method_options": matched})
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.result is not None
    data = outcome.result.data
    assert data["run"]["method_options"]["network"] == [64, 32]
    assert data["built_from"]["network"][0] > 100
    ((mmoe,),) = planned(toy, {"method": "mmoe", "method_options": {"num_experts": 16}})
    assert data["run"]["method_options"]["match_options"] == mmoe.to_json()["method_options"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("method", "mmoe"), ("balancer", "pcgrad"), ("loop", "the training loop")],
)
def test_a_run_that_was_planned_with_another_revision_is_refused(
    home: Home, toy: Prepared, kind: str, words: str
) -> None:
    """Or the numbers of new code would be stored under the identity of the old."""
    ((spec,),) = planned(toy, {"method": "mmoe", "balancer": "pcgrad"})
    old = replace(spec, revision={**spec.revision, kind: 77})
    with pytest.raises(UsageError, match=f"The code of {words} has changed since this run was planned"):
        execute(home, "toy", [old], CPU, lambda rows: None)
    assert finished(home, "toy", old) is None


def test_the_commit_of_a_result_is_asked_for_once_and_before_training(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the checkout moves on while a grid runs, the loaded code does not."""
    asked = []

    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="abc" if "rev-parse" in command else "")

    def work(*args: object, **options: object) -> object:
        monkeypatch.setattr(subprocess, "run", pulled)
        return trained(*args, **options)  # type: ignore[arg-type]

    def pulled(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        raise AssertionError(f"{command} after training began")

    trained = networks.train_networks
    provenance.commit.cache_clear()
    monkeypatch.setattr(Path, "exists", lambda path: True if path.name == ".git" else os.path.exists(path))
    monkeypatch.setattr(subprocess, "run", answer)
    monkeypatch.setattr(job, "train_networks", work)
    (specs,) = planned(toy, {"method": "hard-sharing"}, seeds=2)
    outcomes = execute(home, "toy", specs, CPU, lambda rows: None)
    provenance.commit.cache_clear()
    assert [o.result.data["commit"] for o in outcomes if o.result] == ["abc", "abc"]
    assert len(asked) == 2


def _stored_parameters(file: Any) -> int:
    with safe_open(file, "pt") as weights:
        return sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118


def test_what_is_done_is_found_again_by_its_identity(home: Home, toy: Prepared) -> None:
    ((spec,), (other,)) = planned(
        toy, {"method": "mmoe"}, {"method": "mmoe", "method_options": {"num_experts": 2}}
    )
    assert finished(home, "toy", spec) is None
    execute(home, "toy", [spec], CPU, lambda rows: None)
    assert finished(home, "toy", spec) is not None
    assert finished(home, "toy", other) is None


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    """Another digit in a number: what still reads well, and says something else."""
    text = file.read_bytes()
    place = next(i for i in range(len(text) // 2, len(text)) if text[i : i + 1].isdigit())
    file.write_bytes(text[:place] + (b"1" if text[place : place + 1] != b"1" else b"2") + text[place + 1 :])


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("result.json", cut),
        ("result.json", flip),
        ("result.json", Path.unlink),
        ("scores.npz", cut),
        ("scores.npz", flip),
        ("scores.npz", Path.unlink),
        ("weights.safetensors", Path.unlink),
        ("SHA256SUMS", Path.unlink),
        ("SHA256SUMS", cut),
    ],
)
def test_what_is_damaged_is_set_aside_not_believed_and_not_deleted(
    home: Home, toy: Prepared, name: str, harm: Callable[[Path], object]
) -> None:
    ((spec,),) = planned(toy, {"method": "base-rate"})
    ((networked,),) = planned(toy, {"method": "hard-sharing"})
    spec = networked if name == "weights.safetensors" else spec
    execute(home, "toy", [spec], CPU, lambda rows: None)
    folder = home.runs("toy") / spec.hash
    harm(folder / name)
    left = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert finished(home, "toy", spec) is None
    assert read_result(folder) is None

    said = set_aside(home, "toy", spec)
    assert f"runs/toy/{spec.hash}" in said
    assert "damaged" in said
    assert not folder.exists()
    aside = home.set_aside("toy") / spec.hash
    assert {file.name: file.read_bytes() for file in aside.iterdir()} == left
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.status == "done"
    assert set_aside(home, "toy", spec) == ""


def test_the_result_of_another_run_or_version_is_not_believed_either(home: Home, toy: Prepared) -> None:
    (one,), (other,) = planned(toy, {"method": "base-rate"}, {"method": "logistic"})[:2]
    execute(home, "toy", [one], CPU, lambda rows: None)
    folder = home.runs("toy") / one.hash
    shutil.copytree(folder, home.runs("toy") / other.hash)
    assert finished(home, "toy", other) is None
    assert "another run" in set_aside(home, "toy", other)

    data = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", {**data, "format": data["format"] - 1})
    seal(folder)
    assert finished(home, "toy", one) is None
    assert "another version" in set_aside(home, "toy", one)


def test_the_result_of_other_data_than_it_was_planned_for_is_set_aside(home: Home, toy: Prepared) -> None:
    """As was stored where data were prepared anew during a run, before that was refused."""
    ((spec,),) = planned(toy, {"method": "base-rate"})
    execute(home, "toy", [spec], CPU, lambda rows: None)
    folder = home.runs("toy") / spec.hash
    data = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", {**data, "fingerprint": "toy-600-1"})
    seal(folder)
    assert finished(home, "toy", spec) is None
    assert read_result(folder) is None
    said: list[str] = []
    assert list(each_result(home.results, "toy", said.append)) == []
    assert "planned for data toy-600-0, and it is of toy-600-1" in said[0]
    assert "planned for data toy-600-0" in set_aside(home, "toy", spec)
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.status == "done"


@pytest.mark.parametrize("method", ["base-rate", "single-task", "mmoe"])
def test_data_prepared_anew_during_a_run_fail_it_and_leave_nothing(
    home: Home, toy: Prepared, method: str
) -> None:
    """Its train split is of the one preparation, its test split would be of the other."""
    ((spec,),) = planned(toy, {"method": method})

    def swap(rows: int) -> None:
        if rows and not home.prepared("toy").with_name("old").exists():
            prepare_anew(home, seed=1)

    (outcome,) = execute(home, "toy", [spec], CPU, swap)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("datasets/toy/prepared was prepared anew while this ran")
    assert not home.runs("toy").exists()
    assert list(home.training("toy").iterdir()) == []


def test_data_prepared_anew_fail_the_runs_that_are_not_stored_yet_and_those_alone(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    (specs,) = planned(toy, {"method": "mmoe"}, seeds=3)
    taken, first, second = specs
    stored = store.store_run

    def swap(*given: Any) -> Result:
        result = stored(*given)
        prepare_anew(home, seed=1)
        return result

    monkeypatch.setattr(job, "store_run", swap)
    with alone_in(home.training("toy") / taken.hash):
        outcomes = execute(home, "toy", specs, CPU, lambda rows: None, stacked=True)
    assert [outcome.status for outcome in outcomes] == ["taken", "done", "failed"]
    assert "prepared anew" in outcomes[2].reason
    assert finished(home, "toy", first) is not None
    assert [folder.name for folder in home.runs("toy").iterdir()] == [first.hash]
    outcomes = execute(home, "toy", [first, second], CPU, lambda rows: None)  # planned before, begun after
    assert [outcome.status for outcome in outcomes] == ["reused", "failed"]
    assert "prepared anew" in outcomes[1].reason
    assert [folder.name for folder in home.training("toy").iterdir()] == [taken.hash]


def test_what_a_stack_that_was_killed_has_left_goes_once_its_runs_are_done(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoints lie with its first run, which nobody trains again."""
    monkeypatch.setenv(snapshot.EVERY, "0")
    (specs,) = planned(toy, {"method": "mmoe"}, seeds=3)
    stored = store.store_run

    def killed(home: Home, prepared: Prepared, spec: RunSpec, *rest: Any) -> Result:
        if spec == specs[1]:
            raise KeyboardInterrupt
        return stored(home, prepared, spec, *rest)

    monkeypatch.setattr(job, "store_run", killed)
    with pytest.raises(KeyboardInterrupt):
        execute(home, "toy", specs, CPU, lambda rows: None, stacked=True)
    monkeypatch.setattr(job, "store_run", stored)
    assert list(home.training("toy").glob("*/*/*")), "it has left nothing: the test shows nothing"
    with alone_in(home.training("toy") / specs[0].hash):
        assert list(reused(home, "toy", [specs], print)) == [specs[0].hash]
        assert list(home.training("toy").glob("*/*/*")), "another process was about to go on from it"
    assert list(reused(home, "toy", [specs], print)) == [specs[0].hash]
    execute(home, "toy", specs[1:], CPU, lambda rows: None, stacked=True)
    assert list(home.training("toy").iterdir()) == []


def test_a_second_folder_that_is_set_aside_does_not_replace_the_first(home: Home, toy: Prepared) -> None:
    ((spec,),) = planned(toy, {"method": "base-rate"})
    for content in ("one", "two", "three"):
        write_text(home.runs("toy") / spec.hash / "result.json", content)
        set_aside(home, "toy", spec)
    kept = {p.name: (p / "result.json").read_text() for p in home.set_aside("toy").iterdir()}
    assert kept == {spec.hash: "one", f"{spec.hash}-2": "two", f"{spec.hash}-3": "three"}


def test_a_run_that_another_process_trains_is_left_to_it(home: Home, toy: Prepared) -> None:
    (here,), (there,) = planned(toy, {"method": "base-rate"}, {"method": "hard-sharing"})
    with alone_in(home.training("toy") / there.hash):
        (outcome,) = execute(home, "toy", [there], CPU, lambda rows: None)
        assert outcome.status == "taken"
        assert not (home.runs("toy") / there.hash).exists()
    for spec, status in ((there, "done"), (there, "reused"), (here, "done")):
        (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
        assert outcome.status == status
    assert list(home.training("toy").iterdir()) == []


def test_one_waits_for_the_other_process_and_takes_over_when_it_dies(home: Home, toy: Prepared) -> None:
    """A process that holds the run and does nothing is killed; whoever waits for it then trains."""
    ((spec,),) = planned(toy, {"method": "base-rate"})
    folder = home.training("toy") / spec.hash
    program = (
        "import sys, time; from pathlib import Path; from mtlbench.files import alone_in\n"
        "with alone_in(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        timer = threading.Timer(1.0, holder.kill)
        timer.start()
        began = time.perf_counter()
        (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None, wait=True)
        assert outcome.status == "done"
        assert 0.9 < time.perf_counter() - began < 30


def test_why_a_run_failed_is_kept_until_it_is_done(home: Home, toy: Prepared) -> None:
    ((spec,),) = planned(toy, {"method": "base-rate"})
    file = home.failed("toy") / f"{spec.hash}.json"
    note_failure(home, "toy", Outcome(spec, "failed", reason="no luck"))
    assert json.loads(file.read_text())["reason"] == "no luck"
    assert RunSpec.from_json(json.loads(file.read_text())["run"]) == spec
    note_failure(home, "toy", Outcome(spec, "done"))
    assert not file.exists()


def test_what_a_killed_writer_left_is_removed(home: Home, toy: Prepared) -> None:
    ((spec,),) = planned(toy, {"method": "base-rate"})
    write_text(home.runs("toy") / f".{spec.hash}-abc" / "scores.npz", "half")
    execute(home, "toy", [spec], CPU, lambda rows: None)
    assert [p.name for p in home.runs("toy").iterdir()] == [spec.hash]


def test_the_same_run_twice_gives_the_same_scores(home: Home, toy: Prepared) -> None:
    ((spec,),) = planned(toy, {"method": "mmoe", "method_options": {"dropout": 0.2}})
    scores = []
    for _ in range(2):
        (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None, again=True)
        assert outcome.result is not None
        scores.append(outcome.result.scores())
    for task in toy.schema.task_names:
        np.testing.assert_array_equal(scores[0].score[task], scores[1].score[task])


def test_a_run_that_diverges_fails_with_a_reason_and_leaves_nothing(home: Home, toy: Prepared) -> None:
    ((spec,),) = planned(toy, {"method": "hard-sharing"}, training={"epochs": 1, "learning_rate": 1e30})
    (outcome,) = execute(home, "toy", [spec], CPU, lambda rows: None)
    assert outcome.status == "failed"
    assert "finite" in outcome.reason
    assert not (home.runs("toy") / spec.hash).exists()


@pytest.mark.parametrize(
    ("arm", "complaint"),
    [
        ({"method": "mmeo"}, "Unknown method 'mmeo'. Did you mean 'mmoe'?"),
        ({"method": "mmoe", "balancer": "equall"}, "Unknown balancer 'equall'. Did you mean 'equal'?"),
        ({"method": "mmoe", "method_options": {"experts": 3}}, "Did you mean 'num_experts'?"),
        ({"method": "mmoe", "method_options": {"num_experts": 0}}, "num_experts = 0; at least 1"),
        ({"method": "mmoe", "method_options": {"network": "wide"}}, "network = 'wide'"),
        (
            {"method": "mmoe", "balancer": "static", "balancer_options": {"weights": {"klick": 1}}},
            "Did you mean 'click'?",
        ),
    ],
)
def test_what_nothing_has_is_refused_before_training(
    toy: Prepared, arm: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError) as error:
        planned(toy, arm)
    assert complaint in str(error.value)


def test_an_arm_twice_and_a_task_unknown_are_refused(toy: Prepared) -> None:
    with pytest.raises(UsageError, match="stands there twice"):
        planned(toy, {"method": "mmoe"}, {"method": "mmoe"})
    with pytest.raises(UsageError, match=r"'bye'.*Did you mean 'buy'"):
        planned(toy, {"method": "mmoe"}, family={"tasks": ["bye"]})


def test_a_balancer_has_nothing_to_do_where_each_task_has_a_model(toy: Prepared) -> None:
    ((spec,),) = planned(toy, {"method": "single-task", "balancer": "static"})
    assert spec.balancer == "equal"


def test_rows_to_train_count_every_model(toy: Prepared) -> None:
    ((single,), (shared,)) = planned(toy, {"method": "single-task"}, {"method": "mmoe"})
    assert rows_to_train(shared, toy) == 600
    assert rows_to_train(single, toy) == 3 * 600


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_stack_learns_what_the_cpu_learns(home: Home, toy: Prepared) -> None:
    """All seeds in one stack on the GPU give the metrics that each gives alone on the CPU."""
    (arm,) = planned(toy, {"method": "mmoe"}, seeds=3)
    metrics = {}
    for device in (CPU, torch.device("cuda")):
        outcomes = execute(home, "toy", arm, device, lambda rows: None)
        metrics[device.type] = [o.result.data["metrics"]["test"] for o in outcomes if o.result]
    for cpu, cuda in zip(metrics["cpu"], metrics["cuda"], strict=True):
        assert cpu["click"]["auc"] == pytest.approx(cuda["click"]["auc"], abs=2e-3)
