"""The synthetic tasks are the paper's, each knob does what it says, and numbers alone are enough to train."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mtlbench.config import Benchmark, fill, load_benchmark
from mtlbench.data.mmoe_synthetic import (
    HARMFUL,
    HELPFUL,
    NEUTRAL,
    TASKS,
    SyntheticSettings,
    names,
    response,
    schema,
    simulate,
    truth,
    weights,
)
from mtlbench.experiment.grid import plan
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.methods.base import Needs
from mtlbench.prepare import prepare
from mtlbench.runs.execute import execute
from tests.methods.toys import LOADED

LINEAR: dict[str, Any] = {"sines": 0, "noise": 0.0, "n_a": 2000, "n_b": 2000}


def drawn(split: str = "train", **knobs: Any) -> tuple[np.ndarray, np.ndarray]:
    """x (rows, d) and labels (rows, 2), NaN where not defined."""
    chosen = SyntheticSettings(**knobs)
    frame = simulate(chosen)[split]  # type: ignore[index]
    x = frame.select(names(chosen.dimensions)).to_numpy()
    return x, frame.select(TASKS).fill_null(np.nan).to_numpy()


@given(st.floats(-1, 1), st.integers(2, 40), st.floats(0.1, 3), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_p_is_the_cosine_of_the_weights_and_c_their_length(p: float, d: int, c: float, seed: int) -> None:
    one, two = weights(SyntheticSettings(p=p, dimensions=d, scale=c), np.random.default_rng(seed))
    assert np.linalg.norm(one) == pytest.approx(c)
    assert np.linalg.norm(two) == pytest.approx(c)
    assert one @ two / c**2 == pytest.approx(p, abs=1e-9)


def test_without_sines_the_labels_are_linear_and_correlate_by_p() -> None:
    """y_k = w_k.x: two regressions find w exactly, and Pearson's correlation of the labels is p."""
    x, y = drawn(p=0.5, **LINEAR)
    fitted, residual, *_ = np.linalg.lstsq(x, y, rcond=None)
    assert residual.max() < 1e-18
    assert fitted[:, 0] @ fitted[:, 1] == pytest.approx(0.5)
    assert np.corrcoef(y.T)[0, 1] == pytest.approx(0.5, abs=0.05)


def test_the_response_is_the_papers() -> None:
    """z + sin(2 z + 1) + sin(-z), by hand at z = 0 and z = 1."""
    found = response(np.array([0.0, 1.0]), np.array([2.0, -1.0]), np.array([1.0, 0.0]))
    assert found == pytest.approx([np.sin(1.0), 1 + np.sin(3.0) - np.sin(1.0)])


def test_inputs_are_standard_normal_and_independent() -> None:
    x, _ = drawn("test", dimensions=5)
    assert np.abs(x.mean(axis=0)).max() < 0.05
    assert np.abs(np.cov(x.T) - np.eye(5)).max() < 0.05


def test_noise_is_a_standard_deviation() -> None:
    _, noisy = drawn("test", noise=0.5)
    _, clean = drawn("test", noise=0.0)
    assert (noisy - clean).std(axis=0) == pytest.approx([0.5, 0.5], rel=0.05)
    assert np.corrcoef((noisy - clean).T)[0, 1] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(("n_a", "n_b"), [(300, 4000), (4000, 300), (50, 50)])
def test_tasks_are_defined_on_as_many_train_rows_as_said_and_everywhere_else(n_a: int, n_b: int) -> None:
    frames = simulate(SyntheticSettings(n_a=n_a, n_b=n_b, validation_rows=20, test_rows=30))
    defined = {split: tuple(len(frame) - frame[task].null_count() for task in TASKS)
               for split, frame in frames.items()}  # fmt: skip
    assert defined == {"train": (n_a, n_b), "validation": (20, 20), "test": (30, 30)}
    assert len(frames["train"]) == max(n_a, n_b)


def test_flips_negate_that_share_of_the_second_task() -> None:
    _, plain = drawn("test")
    for share in (0.3, 1.0):
        _, flipped = drawn("test", label_flips=share)
        negated = flipped[:, 1] == -plain[:, 1]
        assert negated.mean() == pytest.approx(share, abs=0.02)
        assert (flipped[~negated, 1] == plain[~negated, 1]).all()


def test_a_noise_task_says_nothing() -> None:
    x, y = drawn("test", noise_task=True)
    assert y[:, 1].std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.corrcoef(np.column_stack([x, y]).T)[-1, :-1]).max() < 0.05


@pytest.mark.parametrize(
    "knobs", [{"p": -0.3}, {"label_flips": 0.5}, {"noise_task": True}, {"n_b": 1000}, {"n_b": 9000}]
)
def test_knobs_of_the_second_task_leave_the_first_as_it_was(knobs: dict[str, Any]) -> None:
    """So that what they do to the first task's score is all their doing."""
    for split in SPLITS:
        x, y = drawn(split)
        other_x, other_y = drawn(split, **knobs)
        rows = min(len(x), len(other_x))
        assert np.array_equal(x[:rows], other_x[:rows])
        first, other_first = y[:300, 0], other_y[:300, 0]
        assert np.array_equal(first, other_first)


def test_without_the_group_there_is_no_field_of_it() -> None:
    knobs = {"group_n_a": 7, "group_scale": 3.0}
    frames, plain = simulate(SyntheticSettings(**knobs)), simulate(SyntheticSettings())  # type: ignore[arg-type]
    assert all(frames[split].equals(plain[split]) for split in SPLITS)
    assert "group" not in plain["train"].columns


def test_the_group_leaves_everyone_else_as_they_were() -> None:
    knobs = {"n_a": 4000, "group_n_a": 4000}
    for split in SPLITS:
        frame = simulate(SyntheticSettings(group_share=0.2, **knobs))[split]  # type: ignore[arg-type]
        plain = simulate(SyntheticSettings(**knobs))[split]  # type: ignore[arg-type]
        others = frame["group"] == 0
        assert frame.drop("group").filter(others).equals(plain.filter(others))
        assert (frame["first"] != plain["first"]).sum() == frame["group"].sum()
        assert frame["group"].mean() == pytest.approx(0.2, abs=0.03)


def test_in_the_group_both_tasks_follow_one_function_of_its_own_at_its_scale() -> None:
    chosen = SyntheticSettings(group_share=0.3, group_n_a=2000, group_scale=0.5, p=0.0, **LINEAR)
    train = simulate(chosen)["train"]

    def fitted(group: int) -> Any:
        rows = train.filter(pl.col("group") == group)
        w, residual, *_ = np.linalg.lstsq(
            rows.select(names(chosen.dimensions)).to_numpy(), rows.select(TASKS).to_numpy(), rcond=None
        )
        assert residual.max() < 1e-18
        return w

    (one, two), (mine, too) = fitted(0).T, fitted(1).T
    assert mine == pytest.approx(too)
    assert np.linalg.norm(mine) == pytest.approx(0.5)
    assert max(abs(one @ mine), abs(two @ mine)) < 0.45  # a direction of its own; 0.5 would be theirs


def test_the_first_task_is_defined_on_so_many_rows_of_the_group() -> None:
    chosen = SyntheticSettings(n_a=3000, n_b=4000, group_share=0.1, group_n_a=15)
    train = simulate(chosen)["train"]
    member = train.filter(pl.col("group") == 1)
    assert (len(member) - member["first"].null_count(), member["second"].null_count()) == (15, 0)
    others = train.filter(pl.col("group") == 0)
    assert others["first"].is_not_null().sum() == (others["row"] < 3000).sum()
    assert simulate(chosen)["test"].null_count().sum_horizontal().item() == 0


def test_binary_labels_are_the_signs_of_the_others() -> None:
    _, values = drawn("train")
    _, signs = drawn("train", binary=True)
    assert np.array_equal(signs, np.where(np.isnan(values), np.nan, values > 0), equal_nan=True)
    kinds = {t.kind for t in schema(SyntheticSettings(binary=True), dict.fromkeys(TASKS, "")).tasks}
    assert kinds == {"binary"}


def test_seeds_differ_and_repeat() -> None:
    frames = [simulate(SyntheticSettings(seed=seed))["test"] for seed in (0, 0, 1)]
    assert frames[0].equals(frames[1])
    assert not frames[0].equals(frames[2])


def test_splits_share_no_row() -> None:
    frames = simulate(SyntheticSettings())
    numbers = np.concatenate([frame["row"].to_numpy() for frame in frames.values()])
    values = np.concatenate([frame["x_0"].to_numpy() for frame in frames.values()])
    assert len(np.unique(numbers)) == len(np.unique(values)) == 4000 + 2000 + 10_000


def test_truth_is_told_of_the_measured_fixtures_alone() -> None:
    assert truth(HELPFUL) == truth(SyntheticSettings(seed=7)) == {"first": "helps", "second": ""}
    assert truth(HARMFUL) == {"first": "harms", "second": ""}
    assert all(truth(neutral) == {"first": "none", "second": "none"} for neutral in NEUTRAL)
    for knobs in ({"p": 0.9}, {"n_a": 400}, {"dimensions": 40}, {"noise_task": True}, {"label_flips": 0.1}):
        assert truth(SyntheticSettings(**knobs)) == {"first": "", "second": ""}


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("p", 1.1),
        ("n_a", 0),
        ("noise", -1),
        ("label_flips", 2),
        ("dimensions", 1),
        ("scale", 0),
        ("seed", -1),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(knob: str, value: float) -> None:
    with pytest.raises(ValidationError, match=knob):
        TypeAdapter(SyntheticSettings).validate_python({knob: value})


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    options = {"n_a": "120", "n_b": "400", "validation_rows": "100", "test_rows": "150", "seed": "3"}
    return prepare(Home(tmp_path), "mmoe-synthetic", options=options)


def test_it_prepares_to_numbers_alone(prepared: Prepared) -> None:
    assert prepared.simulated
    assert prepared.vocabularies == {}
    assert [t.metric for t in prepared.schema.tasks] == ["r2", "r2"]
    train = prepared.open_split("train")
    assert (train.categorical.shape, train.numeric.shape) == ((400, 0), (400, 20))
    assert (~np.isnan(train.labels)).sum(axis=0).tolist() == [120, 400]
    assert prepared.manifest["splits"]["test"]["clusters"] == 150


def learns_numbers(method: type) -> bool:
    """Whether it takes regressions, and more of a row than nothing."""
    needs = getattr(method, "needs", Needs())
    return "regression" in needs.kinds and not getattr(method, "constant", False)


@pytest.mark.parametrize("method", [name for name, cls in LOADED.items() if learns_numbers(cls)])
def test_numbers_alone_are_enough_to_learn(tmp_path: Path, prepared: Prepared, method: str) -> None:
    """No categorical field, no sequence: the embedding table has no row, and nothing minds."""
    values = {"training": {"epochs": 15, "batch_rows": 40, "patience": 30}, "seeds": 1}
    benchmark = fill(Benchmark, values | {"run": [{"method": method}]}, "test")
    for specs in plan(benchmark, prepared.schema, prepared.fingerprint):
        outcomes = execute(Home(tmp_path), prepared.name, specs, torch.device("cpu"), lambda rows: None)
        assert [outcome.status for outcome in outcomes] == ["done"]
    (file,) = (tmp_path / "results").rglob("result.json")
    metrics = json.loads(file.read_text())["metrics"]["test"]
    assert metrics["second"]["r2"] > 0.3


def test_its_benchmark_names_it() -> None:
    benchmark = load_benchmark(Path("benchmarks/mmoe-synthetic.toml"))
    assert benchmark.dataset == "mmoe-synthetic"
