"""The pilot: which runs it is, what is read off it, and that its gain is not."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mtlbench.config import Benchmark, fill
from mtlbench.foresight import Foresight
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.pilot import Power, TaskPower, choose, members, read_power
from mtlbench.results import Result, Scores
from mtlbench.runner import Outcome
from mtlbench.schema import Schema, Task
from mtlbench.statistics.power import minimum_detectable_effect, upper_bound
from mtlbench.statistics.variance import two_way
from tests.test_compare import save as save_result

SCHEMA = Schema(fields=(), tasks=(Task(name="stars", kind="regression"),), cluster="user")
USERS, ROWS = 60, 40


def benchmark(*methods: str, **values: Any) -> Benchmark:
    given = {"dataset": "toy", "seeds": 10, "run": [{"method": method} for method in methods], **values}
    return fill(Benchmark, given, "test").with_baseline()


def pilot_methods(chosen: Benchmark, prepared: Prepared) -> list[str]:
    return [arm[0].method for arm in choose(chosen, prepared)]


def test_the_pilot_is_the_first_five_seeds_of_the_two_smallest_methods(toy: Prepared) -> None:
    chosen = benchmark("mmoe", "hard-sharing", "soft-sharing", seeds=(3, 1, 4, 15, 9, 2, 6))
    arms = choose(chosen, toy)
    assert [arm[0].method for arm in arms] == ["hard-sharing", "single-task"]
    assert [[spec.seed for spec in arm] for arm in arms] == [[3, 1, 4, 15, 9]] * 2


def test_with_fewer_seeds_the_pilot_has_0_to_4(toy: Prepared) -> None:
    assert [spec.seed for spec in choose(benchmark("mmoe", seeds=(7, 8)), toy)[0]] == [0, 1, 2, 3, 4]


def test_the_pilots_runs_are_runs_of_the_benchmark(toy: Prepared) -> None:
    from mtlbench.grid import plan

    chosen = benchmark("mmoe", "hard-sharing")
    planned = {spec.hash for arm in plan(chosen, toy.schema, toy.fingerprint) for spec in arm}
    assert {spec.hash for arm in choose(chosen, toy) for spec in arm} <= planned


def test_a_twin_of_the_cheapest_is_passed_over(toy: Prepared) -> None:
    """`disjoint` is `single-task`: their contrast has no variance, and would promise to see everything."""
    assert pilot_methods(benchmark("disjoint", "mmoe"), toy)[1] == "mmoe"
    assert set(pilot_methods(benchmark("disjoint"), toy)) == {"single-task", "disjoint"}


def test_one_method_with_two_balancers_is_one_method(toy: Prepared) -> None:
    runs = [{"method": "hard-sharing"}, {"method": "hard-sharing", "balancer": "static"}]
    assert pilot_methods(benchmark(run=runs), toy) == ["hard-sharing", "single-task"]


def test_nothing_is_chosen_where_nothing_can_be_compared(toy: Prepared) -> None:
    assert choose(benchmark("single-task"), toy) == []
    assert members(benchmark("single-task"), toy.schema) == 0
    alone = replace(benchmark("mmoe"), run=benchmark("mmoe").run[1:])  # run --no-baseline
    assert members(alone, toy.schema) == 0


def results(
    tmp_path: Any, lift: float = 0.0, same: bool = False
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


def test_what_is_read_is_the_test_to_come(tmp_path: Any) -> None:
    """By hand from the contrasts: 20 seeds, a family of 3, delta as the family declares it."""
    from mtlbench.statistics.influence import influence
    from mtlbench.statistics.verdict import adjusted_df

    found, label = results(tmp_path)
    chosen = benchmark("hard-sharing", "mmoe", "soft-sharing", seeds=20, family={"delta": 0.02, "alpha": 0.1})
    power = read_power(chosen, SCHEMA, found)
    [seen] = power.tasks
    index = np.repeat(np.arange(USERS), ROWS)
    phi = {r: influence("r2", label, r.scores().score["stars"], index, USERS) for r in map(_Key, found)}
    arms = {m: np.stack([phi[k] for k in phi if k.method == m], axis=1) for m in power.methods}
    pilot = two_way(arms["single-task"] - arms["hard-sharing"])
    expected = replace(pilot, seed=upper_bound(pilot.seed, 4)).resized(20, USERS)
    assert (power.seeds, power.members, power.alpha) == (20, 3, 0.1)
    assert seen.forecast is not None
    assert seen.forecast.estimate.se == pytest.approx(expected.se, rel=1e-9)
    df = adjusted_df(expected.df, 20, 3)
    assert seen.forecast.minimum_detectable_effect == pytest.approx(
        minimum_detectable_effect(expected.se, df, 0.1 / 3), rel=1e-9
    )
    assert (seen.delta, seen.unit) == (0.02, "r2")
    assert seen.decides is (seen.forecast.minimum_detectable_effect <= 0.02)


class _Key:
    """A result as a key: one score file."""

    def __init__(self, result: Result) -> None:
        self.scores, self.method = result.scores, result.method


def test_no_number_of_the_plan_is_the_pilots_gain(tmp_path: Any) -> None:
    found, _ = results(tmp_path, lift=0.2)
    power = read_power(benchmark("hard-sharing"), SCHEMA, found)
    assert power.tasks[0].forecast is not None
    assert math.isnan(power.tasks[0].forecast.estimate.gain)
    written = json.dumps(power.to_json(), allow_nan=False)
    assert "gain" not in written
    assert "value" not in written


def test_arms_that_score_alike_promise_nothing(tmp_path: Any) -> None:
    found, _ = results(tmp_path, same=True)
    [seen] = read_power(benchmark("hard-sharing"), SCHEMA, found).tasks
    assert not seen.decides
    assert seen.forecast is None
    assert "scored alike" in seen.reason


def test_few_users_are_named(tmp_path: Any) -> None:
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


def test_run_is_warned_once_as_soon_as_the_pilot_is_complete(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    chosen = benchmark("hard-sharing", seeds=5)
    foresight = Foresight(home, chosen, toy, said.append)
    foresight.warn()
    assert [line.split(":")[0] for line in said] == ["A family of 3 wants 10 seeds"]
    read: list[int] = []

    def unreadable(benchmark: Benchmark, schema: Schema, results: list[Result]) -> Power:
        read.append(len(results))
        click = TaskPower(task="click", unit="auc", delta=0.001, forecast=None, reason="it is a test")
        return Power(
            methods=(), pilot_seeds=(), seeds=5, members=3, alpha=0.05, cluster="user", tasks=(click,)
        )

    monkeypatch.setattr("mtlbench.foresight.read_power", unreadable)
    specs = [spec for arm in choose(chosen, toy) for spec in arm]
    outcomes: dict[str, Outcome] = {}
    for spec in specs:
        assert foresight.power is None
        outcomes[spec.hash] = Outcome(spec, "done", Result(home.root, {}))
        foresight.look(outcomes)
    foresight.look(outcomes)
    assert read == [len(specs)]
    assert said[1:] == [
        "With 5 seeds this benchmark cannot decide at its own delta on any task.",
        "click: the pilot cannot tell what will be seen: it is a test.",
    ]


def test_a_failed_pilot_is_no_ground_for_a_warning(home: Home, toy: Prepared) -> None:
    said: list[str] = []
    chosen = benchmark("hard-sharing")
    foresight = Foresight(home, chosen, toy, said.append)
    specs = [spec for arm in choose(chosen, toy) for spec in arm]
    foresight.look({spec.hash: Outcome(spec, "failed", reason="diverged") for spec in specs})
    assert foresight.power is None
    assert said == []
