"""A baseline that nobody wrote down is the network of the arms, and compare pairs each arm with its own."""

from typing import Any

import pytest

from mtlbench.compare.arms import Arm, baseline_of, named
from mtlbench.config import Benchmark, fill
from mtlbench.errors import UsageError
from mtlbench.experiment.grid import plan
from mtlbench.load import Prepared

SMALL = {"embedding_dim": 2, "network": [6], "tower": [4]}
FLOORS = ("base-rate", "logistic", "gbdt")


def benchmark(*methods: str | dict[str, Any], **family: object) -> Benchmark:
    arms = [{"method": method} if isinstance(method, str) else method for method in methods]
    return fill(Benchmark, {"run": arms, "family": family}, "x")


def options(benchmark: Benchmark, method: str = "single-task") -> list[dict[str, Any]]:
    return [dict(arm.method_options) for arm in benchmark.run if arm.method == method]


def arms(benchmark: Benchmark, prepared: Prepared) -> list[Arm]:
    """As `compare` sees what was run."""
    planned = plan(benchmark, prepared.schema, prepared.fingerprint)
    return named([Arm(specs[0].to_json(), {}) for specs in planned])


def test_the_baseline_is_the_network_of_the_arms() -> None:
    """What the arms have of their own, as experts, is no part of it; neither is what it has anyway."""
    given = {**SMALL, "dropout": 0.1, "norm": "none"}
    mmoe = {"method": "mmoe", "method_options": {**given, "num_experts": 2}}
    soft = {"method": "soft-sharing", "method_options": {**given, "strength": 1.0}}
    expected = {"embedding_dim": 2, "network": (6,), "tower": (4,), "dropout": 0.1, "norm": "none"}
    assert options(benchmark(mmoe, soft, *FLOORS).with_baseline()) == [expected]
    usual = {"method": "mmoe", "method_options": {"embedding_dim": 8, "num_experts": 2}}
    assert options(benchmark(usual).with_baseline()) == [{}]


def test_each_set_of_options_has_a_baseline() -> None:
    narrow = {"method": "mmoe", "method_options": {"embedding_dim": 2}}
    added = benchmark("gbdt", "mmoe", narrow, "hard-sharing").with_baseline()
    assert options(added) == [{}, {"embedding_dim": 2}]
    assert [arm.method for arm in added.run][:3] == ["single-task", "single-task", "gbdt"]
    assert added.with_baseline() is added


def test_a_baseline_that_is_written_down_stays_as_it_is() -> None:
    asked = benchmark("single-task", {"method": "mmoe", "method_options": SMALL})
    assert asked.with_baseline() is asked


def test_a_method_with_a_balancer_is_no_baseline() -> None:
    """Asked what pcgrad does to hard sharing, the plain one is added."""
    asked = benchmark({"method": "hard-sharing", "balancer": "pcgrad"}, baseline="hard-sharing")
    found = [(arm.method, arm.balancer) for arm in asked.with_baseline().run]
    assert found == [("hard-sharing", "equal"), ("hard-sharing", "pcgrad")]


@pytest.mark.parametrize("baseline", ["single-task", "logistic"])
def test_floors_alone_have_the_usual_baseline(baseline: str) -> None:
    assert options(benchmark("gbdt", "base-rate").with_baseline(baseline), baseline) == [{}]


def test_a_floor_as_the_baseline_has_no_network() -> None:
    small = {"method": "mmoe", "method_options": SMALL}
    assert options(benchmark("mmoe", small).with_baseline("logistic"), "logistic") == [{}]


def test_an_option_that_an_arm_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"options of mmoe.*Did you mean 'num_experts'"):
        benchmark({"method": "mmoe", "method_options": {"experts": 3}}).with_baseline()


def test_a_baseline_made_to_match_is_added_for_each_arm_that_has_none() -> None:
    """For two arms of one network once; not for models a task or for floors, which have no such network."""
    four: dict[str, object] = {"method": "mmoe", "method_options": {"num_experts": 4}}
    also_four: dict[str, object] = {"method": "mmoe", "balancer": "static"}  # 4 is the default
    two: dict[str, object] = {"method": "mmoe", "method_options": {"num_experts": 2}}
    asked = benchmark(four, also_four, two, "hard-sharing", "single-task", "logistic")
    added = asked.with_baseline("single-task-wide")
    made = [arm.method_options for arm in added.run if arm.method == "single-task-wide"]
    assert made == [
        {"match": "mmoe", "match_options": {"num_experts": 4}},
        {"match": "mmoe", "match_options": {"num_experts": 2}},
        {"match": "hard-sharing", "match_options": {}},
    ]
    assert added.run[3:] == asked.run
    assert added.with_baseline() is added


def test_a_baseline_made_to_match_grows_from_the_arms_network() -> None:
    (made,) = options(
        benchmark({"method": "mmoe", "method_options": SMALL}).with_baseline("single-task-wide"),
        "single-task-wide",
    )
    assert made == {
        "embedding_dim": 2,
        "network": (6,),
        "tower": (4,),
        "match": "mmoe",
        "match_options": SMALL,
    }


@pytest.mark.parametrize("baseline", ["single-task", "single-task-wide", "disjoint"])
def test_every_arm_is_held_against_its_own_network(baseline: str, toy: Prepared) -> None:
    """Points of a grid too. In all options that both have, an arm and its baseline are alike."""
    networks: list[dict[str, Any]] = [{}, SMALL, {**SMALL, "dropout": 0.5}]
    asked = [{"method": method, "method_options": o} for o in networks for method in ("mmoe", "hard-sharing")]
    frontier = {"method": "hard-sharing", "method_options": SMALL, "balancer": "static-frontier"}
    found = arms(benchmark(*asked, frontier).with_baseline(baseline), toy)
    baselines = [arm for arm in found if arm.method == baseline]
    assert len(baselines) == (6 if baseline == "single-task-wide" else 3)
    others = [arm for arm in found if arm.method != baseline]
    assert len(others) == 6 + 32  # points of the frontier
    for arm in others:
        against = baseline_of(arm, baselines)
        assert against is not None
        mine, theirs = arm.identity["method_options"], against.identity["method_options"]
        assert {key: mine[key] for key in mine if key in theirs} == {
            key: theirs[key] for key in mine if key in theirs
        }


def test_floors_are_held_against_the_first_baseline(toy: Prepared) -> None:
    asked = benchmark("gbdt", {"method": "mmoe", "method_options": SMALL}, "hard-sharing").with_baseline()
    first, second, gbdt, mmoe, hard = arms(asked, toy)
    assert first.identity["method_options"]["embedding_dim"] == 2
    assert [baseline_of(arm, [first, second]) for arm in (gbdt, mmoe, hard)] == [first, first, second]
