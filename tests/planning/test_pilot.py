"""The pilot: which runs of a benchmark it is, and how large the family will be."""

from dataclasses import replace
from typing import Any

from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.experiment.grid import family_sizes, plan, rival_tests
from mtlbench.load import Prepared
from mtlbench.planning import pilot
from mtlbench.planning.pilot import choose, members


def benchmark(*methods: str, **values: Any) -> Benchmark:
    given = {"dataset": "toy", "seeds": 10, "run": [{"method": method} for method in methods], **values}
    return fill(Benchmark, given, "test").with_baseline()


def planned(chosen: Benchmark, prepared: Prepared) -> dict[str, list[RunSpec]]:
    return {arm[0].method: arm for arm in plan(chosen, prepared.schema, prepared.fingerprint)}


def pilot_methods(chosen: Benchmark, prepared: Prepared) -> list[str]:
    return [arm[0].method for arm in choose(chosen, prepared)]


def test_the_pilot_is_the_first_five_seeds_of_the_baseline_and_the_smallest_other(toy: Prepared) -> None:
    """Though it is none of the two smallest: whatever is to be seen is a difference from it."""
    runs = [{"method": "mmoe", "method_options": {"num_experts": 2}}, {"method": "hard-sharing"}]
    chosen = benchmark(run=runs, seeds=(3, 1, 4, 15, 9, 2, 6))
    sizes = {method: pilot._size(arm[0], toy) for method, arm in planned(chosen, toy).items()}
    assert sorted(sizes, key=sizes.__getitem__)[:2] == ["hard-sharing", "mmoe"]
    arms = choose(chosen, toy)
    assert [arm[0].method for arm in arms] == ["single-task", "hard-sharing"]
    assert [[spec.seed for spec in arm] for arm in arms] == [[3, 1, 4, 15, 9]] * 2


def test_without_the_baseline_the_pilot_is_of_the_two_smallest(toy: Prepared) -> None:
    chosen = benchmark("mmoe", "hard-sharing", "single-task", family={"baseline": "logistic"})
    assert pilot_methods(chosen, toy) == ["hard-sharing", "single-task"]


def test_with_fewer_seeds_the_pilot_has_0_to_4(toy: Prepared) -> None:
    assert [spec.seed for spec in choose(benchmark("mmoe", seeds=(7, 8)), toy)[0]] == [0, 1, 2, 3, 4]


def test_the_pilots_runs_are_runs_of_the_benchmark(toy: Prepared) -> None:
    chosen = benchmark("mmoe", "hard-sharing")
    planned = {spec.hash for arm in plan(chosen, toy.schema, toy.fingerprint) for spec in arm}
    assert {spec.hash for arm in choose(chosen, toy) for spec in arm} <= planned


def test_a_twin_of_the_cheapest_is_passed_over(toy: Prepared) -> None:
    """`disjoint` is `single-task`: their contrast has no variance, and would promise to see everything."""
    assert pilot_methods(benchmark("disjoint", "mmoe"), toy)[1] == "mmoe"
    assert set(pilot_methods(benchmark("disjoint"), toy)) == {"single-task", "disjoint"}


def test_one_method_with_two_balancers_is_one_method(toy: Prepared) -> None:
    runs = [{"method": "hard-sharing"}, {"method": "hard-sharing", "balancer": "static"}]
    assert pilot_methods(benchmark(run=runs), toy) == ["single-task", "hard-sharing"]


def test_a_frontier_is_one_member_and_no_pilot(toy: Prepared) -> None:
    runs = [{"method": "hard-sharing", "balancer": "static-frontier"}, {"method": "mmoe"}]
    chosen = benchmark(run=runs)
    assert members(chosen, toy.schema) == 2 * len(toy.schema.tasks)
    assert set(pilot_methods(chosen, toy)) == {"single-task", "mmoe"}
    tuned = benchmark(run=[{"method": "hard-sharing"}, *runs], family={"baseline": "hard-sharing"})
    assert members(tuned, toy.schema) == 2 * len(toy.schema.tasks)
    assert choose(benchmark(run=runs[:1]), toy) == []


def test_floors_are_no_pilots(toy: Prepared) -> None:
    chosen = benchmark("base-rate", "logistic", "mmoe")
    assert set(pilot_methods(chosen, toy)) == {"single-task", "mmoe"}


def test_controls_are_members_where_there_is_nothing_else(toy: Prepared) -> None:
    tasks = len(toy.schema.tasks)
    assert members(benchmark("mmoe", "base-rate", "disjoint"), toy.schema) == tasks
    assert members(benchmark("base-rate", "disjoint"), toy.schema) == 2 * tasks
    swapped = benchmark("single-task", "mmoe", "hard-sharing", family={"baseline": "hard-sharing"})
    assert members(swapped, toy.schema) == tasks


def test_a_benchmark_declares_methods_and_controls(toy: Prepared) -> None:
    tasks = len(toy.schema.tasks)
    both = benchmark("mmoe", "base-rate", "hard-sharing")
    assert family_sizes(both, toy.schema) == {"methods": 2 * tasks, "controls": tasks}
    twice = benchmark("mmoe", family={"tasks": ["click", "click"]})
    assert family_sizes(twice, toy.schema) == {"methods": 1}
    per_task = [{"method": "single-task", "balancer": "static-frontier"}, {"method": "mmoe"}]
    assert family_sizes(benchmark(run=per_task), toy.schema) == {"methods": tasks}  # there is no grid of it


def test_a_benchmark_declares_who_is_held_against_its_frontier(toy: Prepared) -> None:
    """Arms of the same network, whichever way its options are written."""
    tasks = len(toy.schema.tasks)
    runs = [
        {"method": "hard-sharing", "balancer": "static-frontier"},
        {"method": "hard-sharing", "method_options": {"tower": [16]}},
        {"method": "hard-sharing", "balancer": "uncertainty"},
        {"method": "hard-sharing", "method_options": {"dropout": 0.5}},
        {"method": "mmoe"},
    ]
    assert rival_tests(benchmark(run=runs), toy.schema) == 2 * (tasks + 1)
    assert rival_tests(benchmark(run=runs, family={"tasks": ["click"]}), toy.schema) == 2 * 2
    assert rival_tests(benchmark(run=runs[1:]), toy.schema) == 0


def test_nothing_is_chosen_where_nothing_can_be_compared(toy: Prepared) -> None:
    assert choose(benchmark("single-task"), toy) == []
    assert members(benchmark("single-task"), toy.schema) == 0
    alone = replace(benchmark("mmoe"), run=benchmark("mmoe").run[1:])  # run --no-baseline
    assert members(alone, toy.schema) == 0
