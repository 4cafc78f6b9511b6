"""What every registered floor owes, so that a new one is covered the moment it is registered."""

import json
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.compare import compare
from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.experiment.grid import plan, rows_to_train
from mtlbench.floors.base import Floor
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.metrics import auc
from mtlbench.results import Result
from mtlbench.runs import floors as runs
from mtlbench.runs.execute import execute
from mtlbench.runs.floors import fit_floors
from mtlbench.runs.store import finished
from tests.methods.toys import LOADED

CPU = torch.device("cpu")
FLOORS: dict[str, type[Floor]] = {n: cls for n, cls in LOADED.items() if issubclass(cls, Floor)}


@pytest.fixture(params=FLOORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def result(home: Home, prepared: Prepared, name: str, seed: int = 0, **options: Any) -> Result:
    values = {
        "run": [{"method": name, "method_options": options}],
        "seeds": [seed],
        "training": {"epochs": 1},
    }
    ((spec,),) = plan(fill(Benchmark, values, "test"), prepared.schema, prepared.fingerprint)
    (outcome,) = execute(home, prepared.name, [spec], CPU, lambda rows: None, again=True)
    assert outcome.result is not None, outcome.reason
    return outcome.result


def test_its_result_is_judged_as_any_other(home: Home, toy: Prepared, name: str) -> None:
    """Stored, found again, whole, and comparable with single-task."""
    stored = [result(home, toy, m, seed) for seed in range(5) for m in ("single-task", name)]
    assert finished(home, toy.name, RunSpec.from_json(stored[1].data["run"])) is not None
    verdicts = compare(stored, toy.schema).comparisons
    assert [c.task.name for c in verdicts] == ["click", "buy", "rating"]
    assert all(c.arm == name for c in verdicts)
    assert all(np.isfinite(c.gain) for c in verdicts)


def test_scores_are_finite_and_in_the_units_of_the_label(home: Home, toy: Prepared, name: str) -> None:
    scores = result(home, toy, name).scores()
    for task in toy.schema.tasks:
        score = scores.score[task.name]
        assert score.dtype == np.float32
        assert np.isfinite(score).all()
        np.testing.assert_array_equal(scores.score_best[task.name], score)
        known = scores.label[task.name][~np.isnan(scores.label[task.name])]
        assert score.mean() == pytest.approx(known.mean(), abs=0.15)
        if task.kind == "binary":
            assert ((score >= 0) & (score <= 1)).all()


def test_fitting_never_opens_the_test_split(
    toy: Prepared, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the test split gone, it gets as far as the one call that scores it."""
    shutil.rmtree(toy.path / "test")

    class Reached(Exception):
        pass

    def stop(*given: Any) -> None:
        raise Reached

    monkeypatch.setattr(runs, "score_floor", stop)
    values = {"run": [{"method": name}], "seeds": 1}
    ((spec,),) = plan(fill(Benchmark, values, "test"), toy.schema, toy.fingerprint)
    with pytest.raises(Reached):
        list(fit_floors(FLOORS[name], toy, [spec], lambda rows: None))


def test_the_same_seed_gives_the_same_scores(home: Home, toy: Prepared, name: str) -> None:
    first, again = (result(home, toy, name, seed=3).scores().score for _ in range(2))
    for task, score in first.items():
        np.testing.assert_array_equal(score, again[task])


def test_thinned_rows_are_drawn_by_the_seed(home: Home, toy: Prepared, name: str) -> None:
    one, other = (result(home, toy, name, seed, max_rows=200) for seed in (0, 1))
    assert one.data["costs"]["train_rows"] == 3 * 200
    assert not np.array_equal(one.scores().score["click"], other.scores().score["click"])


def test_a_task_of_one_class_or_none_on_train_gets_its_mean(home: Home, toy: Prepared, name: str) -> None:
    labels = np.load(toy.path / "train" / "labels.npy")
    labels[:, 0], labels[:, 1] = 1, np.nan
    np.save(toy.path / "train" / "labels.npy", labels)
    scores = result(home, toy, name).scores()
    assert (scores.score["click"] == 1).all()
    assert (scores.score["buy"] == 0).all()


def test_a_task_undefined_on_validation_is_fitted_all_the_same(home: Home, toy: Prepared, name: str) -> None:
    labels = np.load(toy.path / "validation" / "labels.npy")
    labels[:] = np.nan
    np.save(toy.path / "validation" / "labels.npy", labels)
    stored = result(home, toy, name)
    assert stored.data["checkpoint_criterion"] == 0
    if not FLOORS[name].constant:
        assert stored.data["metrics"]["test"]["click"]["auc"] > 0.7


def test_test_labels_change_no_prediction(home: Home, toy: Prepared, name: str) -> None:
    before = result(home, toy, name).scores().score
    labels = np.load(toy.path / "test" / "labels.npy")
    np.save(toy.path / "test" / "labels.npy", 1 - labels)
    after = result(home, toy, name).scores()
    assert not np.array_equal(after.label["click"], labels[:, 0])
    for task, score in before.items():
        np.testing.assert_array_equal(after.score[task], score)


def test_it_learns_what_there_is_to_learn(home: Home, toy: Prepared, name: str) -> None:
    """The toy's click is a price and an item away, its rating is the price; only a constant may miss that."""
    test = result(home, toy, name).data["metrics"]["test"]
    if FLOORS[name].constant:
        assert test["click"]["auc"] == 0.5
        assert abs(test["rating"]["r2"]) < 0.05
    else:
        assert test["click"]["auc"] > 0.8
        assert test["rating"]["r2"] > 0.8


def test_the_result_says_what_a_reader_needs(home: Home, toy: Prepared, name: str) -> None:
    stored = result(home, toy, name)
    assert not (stored.path / "weights.safetensors").exists()
    data = json.loads((stored.path / "result.json").read_text())
    assert data["warnings"] == []
    assert data["run"]["balancer"] == "equal"
    assert data["costs"]["rows_per_second"] > 0
    assert data["costs"]["train_rows"] == 3 * 600
    expected = data["metrics"]["test"]["click"]["auc"]
    assert expected == auc(stored.scores().label["click"] > 0, stored.scores().score["click"])


def test_progress_adds_up_to_what_was_announced(home: Home, toy: Prepared, name: str) -> None:
    seen: list[int] = []
    values = {"run": [{"method": name}], "seeds": 1, "training": {"epochs": 3}}
    ((spec,),) = plan(fill(Benchmark, values, "test"), toy.schema, toy.fingerprint)
    execute(home, toy.name, [spec], CPU, seen.append)
    assert sum(seen) == rows_to_train(spec, toy)


def test_chosen_tasks_are_fitted_alone(home: Home, toy: Prepared, name: str) -> None:
    """A task's model does not depend on which other tasks there are."""
    whole = result(home, toy, name).scores().score
    chosen = result(home, replace(toy, tasks=("buy", "rating")), name).scores().score
    assert list(chosen) == ["buy", "rating"]
    np.testing.assert_array_equal(chosen["buy"], whole["buy"])
    np.testing.assert_array_equal(chosen["rating"], whole["rating"])


def test_nonsense_options_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="max_rows = 0; at least 1"):
        FLOORS[name].Config(max_rows=0)
