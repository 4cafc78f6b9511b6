"""What is said of a frontier: every point, the choice, and one sentence a balancer."""

from pathlib import Path
from typing import Any

import pytest

from mtlbench.compare import compare
from mtlbench.report.frontiers import frontiers
from mtlbench.results import Result
from tests.compare.frontiers import SCHEMA, arm, point


@pytest.fixture
def baseline(tmp_path: Path) -> list[Result]:
    return arm(tmp_path, "single-task")


def document(results: list[Result]) -> dict[str, Any]:
    return {**compare(results, SCHEMA).to_json(), "cluster": "user"}


def sentences(results: list[Result]) -> list[str]:
    (_, _), (_, lines) = frontiers(document(results))
    assert "A family of its own" in lines[0]
    return lines[1:]


def test_the_chosen_weights_their_trials_and_the_cost_of_all_points_are_said(
    tmp_path: Path, baseline: list[Result]
) -> None:
    points = [*point(tmp_path, 0.2, 710.0), *point(tmp_path, 0.8, 700.0)]
    ((grid, lines),) = frontiers(document([*baseline, *points]))
    assert grid.heads[:5] == ["w click", "w stars", "validation", "test click", "test stars"]
    assert [row[:3] for row in grid.rows] == [["0.4", "1.6", "+0.00"], ["1.6", "0.4", "-10.00"]]
    assert [row[-1].startswith("chosen") for row in grid.rows] == [True, False]
    assert "2 sets of weights, 18 runs, 36 s in all, 3.0 times the chosen one alone" in lines[0]
    assert "Validation chose click 0.4, stars 1.6 for all seeds, out of 2" in lines[1]
    assert "by seeds that nothing is compared by (3)" in lines[1]
    assert "descriptive, no test" in lines[2]


def test_only_a_balancer_that_beats_the_frontier_is_said_to_help(
    tmp_path: Path, baseline: list[Result]
) -> None:
    points = point(tmp_path, 0.2, 710.0, skill=(1.0, 2.0))
    rivals = [
        *arm(tmp_path, "hard-sharing", skill=(1.0, 0.6)),
        *arm(tmp_path, "hard-sharing", skill=(1.0, 2.0), balancer="clever"),
        *arm(tmp_path, "hard-sharing", skill=(3.0, 2.0), balancer="cleverer"),
    ]
    worse, undecided, better = sentences([*baseline, *points, *rivals])
    assert worse.startswith("hard-sharing does worse on the mean of the tasks")
    assert "clever is not shown to beat" in undecided
    assert "seeds" in undecided
    assert better.startswith("hard-sharing + cleverer helps")


def test_a_rival_that_cannot_be_held_against_it_gets_the_reason(
    tmp_path: Path, baseline: list[Result]
) -> None:
    points = point(tmp_path, 0.5, 710.0, seeds=range(10, 16))
    (line,) = sentences([*baseline, *points, *arm(tmp_path, "hard-sharing")])
    assert line.startswith("hard-sharing cannot be held against its frontier: no seed in common with")


def test_of_many_points_the_dominated_ones_are_only_counted(tmp_path: Path, baseline: list[Result]) -> None:
    poor = [
        r for i in range(14) for r in point(tmp_path, 0.02 + i / 20, 700.0 - i, (0.5, 0.5), seeds=range(2))
    ]
    best = point(tmp_path, 0.9, 690.0, (3.0, 1.5), seeds=range(2))
    ((grid, lines),) = frontiers(document([*baseline, *poor, *best]))
    assert [row[-1] for row in grid.rows] == ["chosen", "not dominated"]
    assert "13 dominated ones are not shown" in lines[0]


def test_a_frontier_without_a_choice_says_why(tmp_path: Path, baseline: list[Result]) -> None:
    results = [*baseline, *point(tmp_path, 0.5, None), *arm(tmp_path, "hard-sharing")]
    ((grid, lines),) = frontiers(document(results))
    assert grid.rows[0][2] == "lacks seeds"
    assert lines[-1].startswith("None was chosen: no set of weights has been trained with the seeds")
