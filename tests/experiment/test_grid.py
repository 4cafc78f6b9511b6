"""From a benchmark to the runs it stands for, and from those to jobs."""

from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.compare.arms import identity_key
from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.errors import UsageError
from mtlbench.experiment.grid import declared_families, family_sizes, plan, shard_of, to_jobs
from mtlbench.experiment.options import with_options
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.runs.execute import execute

CPU = torch.device("cpu")
FRONTIER = {"method": "hard-sharing", "balancer": "static-frontier"}


def benchmark(*arms: dict[str, Any], **values: Any) -> Benchmark:
    values = {"training": {"epochs": 1, "batch_rows": 64}, "seeds": 2, **values, "run": list(arms)}
    return fill(Benchmark, values, "grid.toml")


def planned(prepared: Prepared, *arms: dict[str, Any], **values: Any) -> list[list[RunSpec]]:
    return plan(benchmark(*arms, **values), prepared.schema, prepared.fingerprint)


@pytest.fixture
def two(home: Home, toy: Prepared) -> Prepared:
    """The toy with its two binary tasks alone."""
    return open_prepared(home, toy.name, ("click", "buy"))


def test_a_frontier_is_a_list_of_seeds_for_every_point(toy: Prepared, two: Prepared) -> None:
    assert [len(arm) for arm in planned(two, FRONTIER)] == [2 + 3] * 11
    assert [len(arm) for arm in planned(toy, FRONTIER)] == [2 + 3] * 32  # three tasks
    first = planned(two, FRONTIER)[0][0]
    assert first.balancer == "static-frontier"
    assert first.balancer_options == {"weights": {"click": 0.04, "buy": 1.96}}


def test_points_have_seeds_of_their_own_to_be_chosen_by(two: Prepared) -> None:
    one = {**FRONTIER, "balancer_options": {"alphas": [0.5], "tuning_seeds": 2}}
    equal, point = planned(two, {"method": "hard-sharing"}, one)
    assert [spec.seed for spec in equal] == [0, 1]
    assert [spec.seed for spec in point] == [0, 1, 1_000_000, 1_000_001]
    with pytest.raises(UsageError, match="at most 999999"):
        benchmark({"method": "mmoe"}, seeds=[3, 1_000_000])


def test_a_points_identity_is_its_weights_whatever_grid_it_stands_in(two: Prepared) -> None:
    whole = {arm[0].hash for arm in planned(two, FRONTIER)}
    assert len(whole) == 11
    part = planned(two, {**FRONTIER, "balancer_options": {"alphas": [0.05, 0.3]}})
    assert part[0][0].hash in whole
    assert part[1][0].hash not in whole


def test_options_of_the_grid_can_be_set_from_the_command_line(toy: Prepared) -> None:
    fewer = with_options(benchmark(FRONTIER, {"method": "mmoe"}), {"balancer.points": "3"})
    assert len(plan(fewer, toy.schema, toy.fingerprint)) == 3 + 1


def test_where_each_task_has_a_model_a_frontier_is_one_arm(two: Prepared) -> None:
    ((spec, _),) = planned(two, {**FRONTIER, "method": "single-task"})
    assert (spec.balancer, spec.balancer_options) == ("equal", {})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"alpha": [0.1]}, "Did you mean 'alphas'"),
        ({"alphas": [0.1, 1.5]}, "above 0 and below 1"),
        ({"points": 4}, "give `alphas`"),
        ({"weights": {"click": 1}}, "Unknown key"),
    ],
)
def test_a_grid_that_is_none_is_refused_before_training(
    two: Prepared, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError) as error:
        planned(two, {**FRONTIER, "balancer_options": options})
    assert complaint in str(error.value)


def test_a_frontier_of_one_task_and_one_that_stands_there_twice_are_refused(
    home: Home, two: Prepared
) -> None:
    with pytest.raises(UsageError, match="needs two tasks; there is buy"):
        planned(open_prepared(home, two.name, ("buy",)), FRONTIER)
    with pytest.raises(UsageError, match="stands there twice"):
        planned(two, FRONTIER, {**FRONTIER, "balancer_options": {"alphas": [0.5, 0.7]}})


def test_stacked_a_whole_frontier_is_one_job(two: Prepared) -> None:
    arms = planned(two, {"method": "hard-sharing"}, FRONTIER, {"method": "mmoe"})
    assert [len(job) for job in to_jobs(arms, stacked=True)] == [2, 55, 2]


def test_alone_every_run_is_a_job_and_seeds_go_round(two: Prepared) -> None:
    arms = planned(two, {"method": "hard-sharing"}, FRONTIER)
    jobs = to_jobs([arms[0][1:], *arms[1:]], stacked=False)  # the first run is done already
    assert [len(job) for job in jobs] == [1] * (1 + 55)
    assert [job[0].seed for job in jobs[:23]] == [1] + [0] * 11 + [1] * 11
    assert min(job[0].seed for job in jobs[23:]) == 1_000_000
    assert to_jobs([], stacked=False) == to_jobs([[]], stacked=True) == []


def test_a_point_in_the_stack_of_its_frontier_is_the_point_alone(home: Home, two: Prepared) -> None:
    grid = {**FRONTIER, "balancer_options": {"alphas": [0.05, 0.5, 0.9], "tuning_seeds": 1}}
    (job,) = to_jobs(planned(two, grid, tasks=["click", "buy"], seeds=1), stacked=True)
    together = execute(home, two.name, job, CPU, lambda rows: None, stacked=True, again=True)
    scores = [o.result.scores().score for o in together if o.result]
    assert len(scores) == 6
    assert not np.allclose(scores[0]["buy"], scores[4]["buy"], atol=1e-3)  # weights matter, at one seed
    for spec, stacked in zip(job, scores, strict=True):
        (outcome,) = execute(home, two.name, [spec], CPU, lambda rows: None, again=True)
        assert outcome.result is not None
        for task, score in outcome.result.scores().score.items():
            np.testing.assert_allclose(stacked[task], score, atol=1e-5)


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 50])
def test_shards_are_all_runs_once_and_of_even_size(toy: Prepared, shards: int) -> None:
    arms = planned(toy, {"method": "single-task"}, {"method": "mmoe"}, {"method": "ple"}, seeds=3)
    parts = [shard_of(arms, number, shards) for number in range(1, shards + 1)]
    trained = [spec.hash for part in parts for arm in part for spec in arm]
    assert sorted(trained) == sorted(spec.hash for arm in arms for spec in arm)
    sizes = [sum(map(len, part)) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert all(arm for part in parts for arm in part)


def test_families_are_found_again_by_what_an_arm_is(two: Prepared) -> None:
    """Options filled in; a frontier by each of its points."""
    named = benchmark(
        {"method": "mmoe", "family": "experts"}, {"method": "hard-sharing"}, FRONTIER | {"family": "w"}
    )
    families = declared_families(named, two.schema)
    assert sorted(families.values()) == ["experts", *["w"] * 11]
    spec = plan(named, two.schema, two.fingerprint)[0][0].to_json()
    keys = ("method", "method_options", "balancer", "balancer_options")
    assert families[identity_key({key: spec[key] for key in keys})] == "experts"
    together = [{"method": method, "family": "f"} for method in ("mmoe", "hard-sharing")]
    assert family_sizes(benchmark({"method": "single-task"}, *together), two.schema) == {"f": 4}


@pytest.mark.parametrize(
    ("arm", "complaint"),
    [
        ({"method": "soft-sharing", "balancer": "pcgrad"}, "no parameter of soft-sharing is shared"),
        ({"method": "esmm", "method_options": {"chain": ["click", "bye"]}}, "'bye'.*Did you mean 'buy'"),
        ({"method": "home", "method_options": {"groups": [["click", "bye"]]}}, "'bye'.*Did you mean 'buy'"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_runs(
    two: Prepared, arm: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        planned(two, arm)
