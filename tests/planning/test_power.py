"""What is read off a pilot: the power of the test to come, and nothing of what was gained."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlbench.compare import compare
from mtlbench.planning.power import read_power
from mtlbench.results import Result, Scores
from mtlbench.schema import Schema, Task
from mtlbench.statistics.influence import influence
from mtlbench.statistics.power import minimum_detectable_effect, upper_bound
from mtlbench.statistics.variance import two_way
from mtlbench.statistics.verdict import adjusted_df
from tests.compare.stored import save as save_result
from tests.planning.shifted import SHIFT, leaves, near, shift_gain
from tests.planning.test_pilot import benchmark

SCHEMA = Schema(fields=(), tasks=(Task(name="stars", kind="regression"),), cluster="user")
USERS, ROWS = 60, 40


def results(
    tmp_path: Path, lift: float = 0.0, same: bool = False
) -> tuple[list[Result], np.ndarray[Any, Any]]:
    """Two arms of a regression whose contrast is known; the second predicts `lift` better."""
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(USERS), ROWS).astype(np.int64)
    label = rng.normal(size=USERS * ROWS).astype(np.float32)
    found = []
    for number, method in enumerate(("hard-sharing", "single-task")):
        for seed in range(5):
            noise = np.random.default_rng((seed, 0 if same else number))
            bias = 0.2 * noise.normal(size=USERS)[cluster] + 0.1 * noise.normal()
            score = ((0.5 - lift * number) * label + bias).astype(np.float32)
            stored = Scores(cluster, {"stars": label}, {"stars": score}, {"stars": score})
            found.append(save_result(tmp_path / f"{lift}-{same}-{method}-{seed}", method, seed, stored))
    return found, label


def test_what_is_read_is_the_test_to_come(tmp_path: Path) -> None:
    """By hand from the contrasts: 20 seeds, a family of 3, delta as the family declares it."""
    found, label = results(tmp_path)
    chosen = benchmark("hard-sharing", "mmoe", "soft-sharing", seeds=20, family={"delta": 0.02, "alpha": 0.1})
    power = read_power(chosen, SCHEMA, found)
    [seen] = power.tasks
    index = np.repeat(np.arange(USERS), ROWS)
    phi = [
        influence("r2", label, r.scores().score["stars"], index, USERS) for r in found
    ]  # five seeds an arm
    pilot = two_way(np.stack(phi[5:], axis=1) - np.stack(phi[:5], axis=1))
    expected = replace(pilot, seed=upper_bound(pilot.seed, 4)).resized(20, USERS)
    assert (power.seeds, power.members, power.alpha) == (20, 3, 0.1)
    assert seen.forecast is not None
    assert seen.forecast.estimate.se == pytest.approx(expected.se, rel=1e-9)
    df = adjusted_df(expected.df, 20, 0.1 / 3)
    assert seen.forecast.minimum_detectable_effect == pytest.approx(
        minimum_detectable_effect(expected.se, df, 0.1 / 3), rel=1e-9
    )
    assert (seen.delta, seen.unit) == (0.02, "r2")
    assert seen.decides is (seen.forecast.minimum_detectable_effect <= 0.02)


def test_no_number_of_the_plan_is_the_pilots_gain(tmp_path: Path) -> None:
    """A pilot whose gain alone is another one makes the same plan, whatever its numbers are called."""
    chosen = benchmark("hard-sharing", family={"delta": 0.02})
    found, _ = results(tmp_path)
    plain = read_power(chosen, SCHEMA, found)
    gain = compare(found, SCHEMA).comparisons[0].gain
    for result in found[:5]:
        shift_gain(result, "stars")
    assert compare(found, SCHEMA).comparisons[0].gain == pytest.approx(gain - SHIFT, abs=1e-6)
    other = read_power(chosen, SCHEMA, found)
    assert plain.tasks[0].forecast is not None
    assert other.tasks[0].forecast is not None
    assert leaves(other.to_json()) == near(plain.to_json(), rel=1e-4)
    assert math.isnan(other.tasks[0].forecast.estimate.gain)
    json.dumps(other.to_json(), allow_nan=False)


def test_a_control_made_for_another_arm_is_a_pilot_like_any(tmp_path: Path) -> None:
    """In a comparison it would be refused as this arm's baseline; here only variances are asked for."""
    found, _ = results(tmp_path)
    made = {"method_options": {"match": "mmoe", "match_options": {}}}
    controls = [
        save_result(tmp_path / f"wide{r.seed}", "single-task-wide", r.seed, r.scores(), **made)
        for r in found[:5]
    ]
    plain, control = (
        read_power(benchmark("hard-sharing"), SCHEMA, arms) for arms in (found, [*controls, *found[5:]])
    )
    assert control.tasks[0].forecast is not None
    assert plain.tasks[0].forecast is not None
    assert control.tasks[0].forecast.estimate.se == plain.tasks[0].forecast.estimate.se


def test_arms_that_score_alike_promise_nothing(tmp_path: Path) -> None:
    found, _ = results(tmp_path, same=True)
    [seen] = read_power(benchmark("hard-sharing"), SCHEMA, found).tasks
    assert not seen.decides
    assert seen.forecast is None
    assert "scored alike" in seen.reason


def test_few_users_are_named(tmp_path: Path) -> None:
    found, _ = results(tmp_path)
    cut = []
    for number, result in enumerate(found):
        s, few = result.scores(), slice(0, 20 * ROWS)
        score = {"stars": s.score["stars"][few]}
        stored = Scores(s.cluster[few], {"stars": s.label["stars"][few]}, score, score)
        cut.append(save_result(tmp_path / f"cut{number}", result.method, result.seed, stored))
    [seen] = read_power(benchmark("hard-sharing"), SCHEMA, cut).tasks
    assert "20 user" in seen.reason
    assert seen.to_json()["minimum_detectable_effect"] is None
