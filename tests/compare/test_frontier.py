"""The fixed-weight frontier: chosen on validation, one arm of the family, what a balancer has to beat."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, ttest_rel

from mtlbench import metrics
from mtlbench.compare import Comparison, Declared, compare
from mtlbench.compare.arms import Arm
from mtlbench.compare.frontier import criterion, gather
from mtlbench.config import Benchmark, Family, fill
from mtlbench.experiment.run import Execution, run
from mtlbench.experiment.stored import compare_stored
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.results import Result, Scores
from mtlbench.runs.outcome import Outcome
from mtlbench.statistics.hypervolume import hypervolume
from tests.compare.frontiers import FRONTIER, SCHEMA, TUNING, USERS, arm, point, result


def frontier_of(compared: Comparison) -> dict[str, Any]:
    (found,) = json.loads(json.dumps(compared.to_json(), allow_nan=False))["frontiers"]
    return dict(found)


def held(compared: Comparison) -> dict[tuple[str, str], dict[str, Any]]:
    return {(t["arm"], t["task"] or "mean"): t for t in frontier_of(compared)["tests"]}


@pytest.fixture
def baseline(tmp_path: Path) -> list[Result]:
    return arm(tmp_path, "single-task")


def test_validation_alone_chooses_even_where_test_would_choose_otherwise(
    tmp_path: Path, baseline: list[Result]
) -> None:
    points = [
        *point(tmp_path, 0.2, 700.0, skill=(3.0, 3.0)),  # by far the best on test
        *point(tmp_path, 0.5, 710.0, skill=(0.5, 0.5)),
        *point(tmp_path, 0.8, 705.0),
    ]
    compared = compare([*baseline, *points], SCHEMA)
    found = frontier_of(compared)
    assert found["chosen"] == {"weights": {"click": 1.0, "stars": 1.0}}
    assert [p["chosen"] for p in found["points"]] == [False, True, False]
    assert [p["criterion"] for p in found["points"]] == [700.0, 710.0, 705.0]
    chosen = [r for r in points if r.data["run"]["balancer_options"] == found["chosen"] and r.seed < 6]
    expected = np.mean([r.data["metrics"]["test"]["click"]["auc"] for r in chosen])
    assert compared.comparisons[0].measured.value == pytest.approx(expected)


def test_the_seeds_that_are_compared_do_not_choose(tmp_path: Path, baseline: list[Result]) -> None:
    points = [
        *point(tmp_path, 0.2, 700.0, compared=900.0),  # luck of the seeds that it is tested by
        *point(tmp_path, 0.8, 701.0, compared=600.0),
    ]
    compared = compare([*baseline, *points, *arm(tmp_path, "hard-sharing")], SCHEMA)
    found = frontier_of(compared)
    assert found["chosen"]["weights"]["click"] == 1.6
    assert (found["tuning_seeds"], found["seeds"]) == (list(TUNING), [0, 1, 2, 3, 4, 5])
    assert (
        compared.comparisons[0].measured.estimate.seeds
        == held(compared)["hard-sharing", "mean"]["seeds"]
        == 6
    )


def test_the_same_weights_are_chosen_for_all_seeds(tmp_path: Path, baseline: list[Result]) -> None:
    """Tuning seed by tuning seed the first point would be better two times out of three."""
    points = [
        *point(tmp_path, 0.2, 703.0, tuning=TUNING[:2]),
        *point(tmp_path, 0.2, 600.0, seeds=(), tuning=TUNING[2:]),
        *point(tmp_path, 0.8, 700.0),
    ]
    assert frontier_of(compare([*baseline, *points], SCHEMA))["chosen"]["weights"]["click"] == 1.6


def test_luck_in_the_choice_is_not_held_against_a_rival() -> None:
    """All points are equal, and their luck is all the seeds'; validation and test share it.

    t tests of rival against chosen point, nominal 5 %. With seeds of its own the choice keeps that; by the
    seeds that are compared it would call the rival worse in one of nine.
    """
    rng = np.random.default_rng(0)
    identity = {"method": "m", "method_options": {}, "balancer": "static-frontier"}
    calls, naive, replicates = 0, 0, 1500
    for _ in range(replicates):
        luck, rival = rng.normal(size=(11, 8)), rng.normal(size=5)
        points = [
            Arm(
                {**identity, "balancer_options": {"weights": {"k": float(p)}}},
                {
                    seed: Result(Path(), {"checkpoint_criterion": luck[p, i], "place": p})
                    for i, seed in enumerate((*range(5), *TUNING))
                },
            )
            for p in range(11)
        ]
        ((chosen,), _) = gather(points, SCHEMA)
        place = chosen.results[0].data["place"]
        calls += ttest_rel(rival, luck[place, :5]).pvalue < 0.05
        naive += ttest_rel(rival, luck[luck[:, :5].mean(axis=1).argmax(), :5]).pvalue < 0.05
    assert calls <= binom.ppf(0.999, replicates, 0.05)
    assert naive > binom.ppf(0.999, replicates, 0.05)


def test_a_frontier_is_one_tuned_arm_of_the_family(tmp_path: Path, baseline: list[Result]) -> None:
    points = [r for alpha in (0.2, 0.5, 0.8) for r in point(tmp_path, alpha, 700 + alpha)]
    hard = arm(tmp_path, "hard-sharing")
    written = compare([*baseline, *points, *hard], SCHEMA).to_json()
    assert written["family"]["arms"] == [FRONTIER, "hard-sharing"]
    assert {c["family_size"] for c in written["comparisons"]} == {4}
    tuned = {c["arm"]: (c["tuned"], c["trials"]) for c in written["comparisons"]}
    assert tuned == {FRONTIER: (True, 3), "hard-sharing": (False, 1)}
    costs = written["frontiers"][0]["costs"]
    assert costs == {"runs": 27, "wall_seconds": 54.0, "ratio_to_chosen": 4.5}


def test_rivals_share_the_method_and_its_options(tmp_path: Path, baseline: list[Result]) -> None:
    points = [r for alpha in (0.2, 0.8) for r in point(tmp_path, alpha, 700 + alpha)]
    others = [
        *arm(tmp_path, "hard-sharing"),
        *arm(tmp_path, "hard-sharing", balancer="static", balancer_options={"weights": {"click": 3.0}}),
        *arm(tmp_path, "hard-sharing", method_options={"dropout": 0.5}),
        *arm(tmp_path, "mmoe"),
    ]
    found = held(compare([*baseline, *points, *others], SCHEMA, Family(tasks=("click",))))
    rivals = ("hard-sharing", "hard-sharing + static")
    assert {name.partition(" (")[0] for name, _ in found} == set(rivals)
    assert {name for name, _ in found}.isdisjoint({"mmoe", "hard-sharing (dropout=0.5)"})
    assert {scope for _, scope in found} == {"click", "mean"}
    assert {t["family_size"] for t in found.values()} == {4}


def test_rivals_without_a_result_count_as_if_they_were_there_with_p_1(
    tmp_path: Path, baseline: list[Result]
) -> None:
    """What has not finished must not make the tests of the others bolder."""
    points = [*point(tmp_path, 0.2, 710.0), *point(tmp_path, 0.8, 700.0)]
    results = [*baseline, *points, *arm(tmp_path, "hard-sharing", skill=(1.2, 1.1))]
    alone, more = (held(compare(results, SCHEMA, declared=Declared(rivals=rivals))) for rivals in (0, 30))
    for key, test in more.items():
        assert (alone[key]["family_size"], test["family_size"]) == (3, 30)
        assert test["adjusted_p_value"] >= min(1, 9 * alone[key]["adjusted_p_value"])


def test_a_balancer_helps_only_if_the_mean_beats_the_chosen_point(
    tmp_path: Path, baseline: list[Result]
) -> None:
    """It beats equal weights by far, but so do static weights."""
    points = [*point(tmp_path, 0.2, 710.0, skill=(1.0, 2.0)), *point(tmp_path, 0.8, 700.0)]
    equal = arm(tmp_path, "hard-sharing", skill=(1.0, 0.6))
    same = arm(tmp_path, "hard-sharing", skill=(1.0, 2.0), balancer="clever")
    better = arm(tmp_path, "hard-sharing", skill=(3.0, 2.0), balancer="cleverer")
    compared = compare([*baseline, *points, *equal, *same, *better], SCHEMA)
    found = held(compared)
    assert found["hard-sharing", "mean"]["verdict"] == "NEGATIVE"
    assert found["hard-sharing + clever", "mean"]["verdict"] not in ("POSITIVE", "NEGATIVE")
    assert found["hard-sharing + cleverer", "mean"]["verdict"] == "POSITIVE"
    assert frontier_of(compared)["helps"] == ["hard-sharing + cleverer"]


def test_the_mean_is_the_mean_of_the_gains_in_deltas(tmp_path: Path, baseline: list[Result]) -> None:
    points = [*point(tmp_path, 0.2, 710.0), *point(tmp_path, 0.8, 700.0)]
    found = held(compare([*baseline, *points, *arm(tmp_path, "hard-sharing", (1.2, 1.1))], SCHEMA))
    click, stars, mean = (found["hard-sharing", scope] for scope in ("click", "stars", "mean"))
    assert mean["gain"] == pytest.approx((click["gain"] / 0.001 + stars["gain"] / 0.005) / 2)
    assert (mean["delta"], mean["delta_unit"], mean["clusters"]) == (1.0, "deltas", USERS)
    assert stars["clusters"] == USERS - USERS // 6


def test_the_error_of_the_mean_is_that_of_the_delete_one_user_jackknife(
    tmp_path: Path, baseline: list[Result]
) -> None:
    """B of the written variance components, from score files alone and without any influence."""
    chosen = point(tmp_path, 0.2, 710.0, skill=(1.2, 1.0))
    mine = arm(tmp_path, "hard-sharing", skill=(1.0, 1.3))
    written = held(compare([*baseline, *chosen, *mine], SCHEMA))["hard-sharing", "mean"]
    cluster = mine[0].scores().cluster

    def mean_gain(keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
        gains = []
        for rival, base in zip(mine, chosen[:6], strict=True):
            both = [
                [
                    metrics.score_task(t.kind, s.label[t.name][keep], s.score[t.name][keep], cluster[keep])
                    for t in SCHEMA.tasks
                ]
                for s in (rival.scores(), base.scores())
            ]
            (click, stars), (click_base, stars_base) = [(c["auc"] or 0.0, s["r2"] or 0.0) for c, s in both]
            gains.append(((click - click_base) / 0.001 + (stars - stars_base) / 0.005) / 2)
        return float(np.mean(gains))

    everyone = mean_gain(np.ones(len(cluster), bool))
    left_out = np.array([mean_gain(cluster != u) for u in range(USERS)])
    pseudo = USERS * everyone - (USERS - 1) * left_out
    assert written["gain"] == pytest.approx(everyone)
    assert written["variance"]["user"] == pytest.approx(pseudo.var(ddof=1) / USERS, rel=0.1)


def test_the_frontier_and_its_twin_are_equivalent(tmp_path: Path, baseline: list[Result]) -> None:
    chosen = point(tmp_path, 0.5, 710.0)
    twins = [result(tmp_path, {"method": "hard-sharing", "seed": r.seed}, None, r.scores()) for r in chosen]
    compared = compare([*baseline, *chosen, *twins], SCHEMA)
    for test in held(compared).values():
        assert (test["gain"], test["p_value"], test["verdict"]) == (0.0, 1.0, "EQUIVALENT")


def test_the_smallest_effect_of_the_mean_follows_delta(tmp_path: Path, baseline: list[Result]) -> None:
    results = [*baseline, *point(tmp_path, 0.5, 710.0), *arm(tmp_path, "hard-sharing")]
    wider = held(compare(results, SCHEMA, Family(delta={"click": 0.003})))
    usual = held(compare(results, SCHEMA))
    assert wider["hard-sharing", "mean"]["delta"] == pytest.approx((3 + 1) / 2)
    assert wider["hard-sharing", "mean"]["gain"] == usual["hard-sharing", "mean"]["gain"]


def test_points_that_lack_seeds_do_not_break_it(tmp_path: Path, baseline: list[Result]) -> None:
    """One failed with a tuning seed: not chosen. One seed has only begun: not counted."""
    points = [
        *point(tmp_path, 0.2, 800.0, seeds=[0, 1, 2, 4, 5, 6], tuning=TUNING[:2]),
        *point(tmp_path, 0.5, 710.0),
        *point(tmp_path, 0.8, 700.0),
    ]
    compared = compare([*baseline, *points, *arm(tmp_path, "hard-sharing")], SCHEMA)
    found = frontier_of(compared)
    assert found["seeds"] == [0, 1, 2, 3, 4, 5]
    assert (found["chosen"]["weights"]["click"], found["trials"]) == (1.0, 2)
    assert [p["criterion"] is None for p in found["points"]] == [True, False, False]
    assert found["points"][0]["test"] == {"click": None, "stars": None}
    assert held(compared)["hard-sharing", "mean"]["seeds"] == 6


def test_a_frontier_without_criteria_or_shared_seeds_says_so(tmp_path: Path, baseline: list[Result]) -> None:
    hard = arm(tmp_path, "hard-sharing")
    apart = [r for i in range(3) for r in point(tmp_path, 0.2 + i / 10, 700.0, tuning=TUNING[i : i + 1])]
    for points in (point(tmp_path, 0.5, None), point(tmp_path, 0.5, 700.0, tuning=()), apart):
        compared = compare([*baseline, *points, *hard], SCHEMA)
        found = frontier_of(compared)
        assert (found["chosen"], found["tests"]) == (None, [])
        assert "no set of weights" in found["reason"]
        assert compared.to_json()["family"]["arms"] == ["hard-sharing"]


def test_rivals_of_other_seeds_get_no_verdict_but_a_reason(tmp_path: Path, baseline: list[Result]) -> None:
    points = point(tmp_path, 0.5, 710.0, seeds=range(10, 16))
    compared = compare([*baseline, *points, *arm(tmp_path, "hard-sharing")], SCHEMA)
    test = held(compared)["hard-sharing", "mean"]
    assert (test["verdict"], test["seeds"]) == ("NO_VERDICT", 0)
    assert test["reason"] == f"no seed in common with {FRONTIER}"


def test_a_task_of_one_class_leaves_the_mean_without_verdict(tmp_path: Path) -> None:
    def one_class(results: list[Result]) -> list[Result]:
        for r in results:
            s = r.scores()
            Scores(s.cluster, {**s.label, "click": s.label["click"] * 0}, s.score, s.score).save(
                r.path / "scores.npz"
            )
        return results

    results = [*point(tmp_path, 0.5, 710.0), *arm(tmp_path, "hard-sharing"), *arm(tmp_path, "single-task")]
    found = held(compare(one_class(results), SCHEMA))
    assert found["hard-sharing", "mean"]["verdict"] == "NO_VERDICT"
    assert "all labels are equal" in found["hard-sharing", "click"]["reason"]
    assert found["hard-sharing", "stars"]["verdict"] != "NO_VERDICT"


def test_the_hypervolume_counts_from_the_baseline_in_deltas(tmp_path: Path, baseline: list[Result]) -> None:
    points = [
        *point(tmp_path, 0.2, 710.0, skill=(1.5, 2.0)),
        *point(tmp_path, 0.5, 700.0, skill=(2.0, 1.5)),
        *point(tmp_path, 0.8, 700.0, skill=(1.2, 1.2)),  # dominated
    ]
    mine = arm(tmp_path, "hard-sharing", skill=(2.5, 2.5))
    found = frontier_of(compare([*baseline, *points, *mine], SCHEMA))
    assert [p["non_dominated"] for p in found["points"]] == [True, True, False]
    assert found["hypervolume"]["reference_arm"] == "single-task"

    def at(results: list[Result]) -> list[float]:
        tables = [r.data["metrics"]["test"] for r in results]
        return [
            float(np.mean([t["click"]["auc"] for t in tables])) / 0.001,
            float(np.mean([t["stars"]["r2"] for t in tables])) / 0.005,
        ]

    compared = [r for r in points if r.seed < 6]
    values = np.array([at(compared[:6]), at(compared[6:12]), at(mine)])
    reference = np.array(at(baseline))
    assert found["hypervolume"]["frontier"] == pytest.approx(hypervolume(values[:2], reference))
    assert found["hypervolume"]["with"] == {"hard-sharing": pytest.approx(hypervolume(values, reference))}
    assert found["hypervolume"]["frontier"] < found["hypervolume"]["with"]["hard-sharing"]


def test_without_a_baseline_there_is_a_frontier_all_the_same(tmp_path: Path) -> None:
    results = [*point(tmp_path, 0.5, 710.0), *arm(tmp_path, "hard-sharing")]
    found = frontier_of(compare(results, SCHEMA))
    assert found["hypervolume"] is None
    assert held(compare(results, SCHEMA))["hard-sharing", "mean"]["seeds"] == 6


def test_the_method_itself_may_be_the_baseline_of_its_frontier(tmp_path: Path) -> None:
    results = [*point(tmp_path, 0.5, 710.0), *arm(tmp_path, "hard-sharing")]
    written = compare(results, SCHEMA, Family(baseline="hard-sharing")).to_json()
    assert written["family"]["arms"] == [FRONTIER]
    assert written["comparisons"][0]["seeds"] == 6
    assert len(written["frontiers"][0]["tests"]) == 3


def test_older_results_have_the_criterion_in_their_history() -> None:
    data = {
        "checkpoint": {"click": {"deployable": 20, "best": 10}, "stars": {"deployable": 20, "best": 20}},
        "history": [
            {
                "tasks": ["click", "stars"],
                "evaluations": [
                    {"step": 10, "validation": {"click": 0.9, "stars": 0.1}},
                    {"step": 20, "validation": {"click": 0.8, "stars": 0.5}},
                ],
            }
        ],
    }
    assert criterion(Result(Path(), data), SCHEMA.tasks) == pytest.approx((800 + 100) / 2)


def test_what_was_run_is_gathered_again_from_the_results_alone(home: Home, toy: Prepared) -> None:
    """Through the ordinary `run` and `compare`, with three tasks and points drawn from the simplex."""
    grid = {"method": "hard-sharing", "balancer": "static-frontier", "balancer_options": {"points": 3}}
    values = {"training": {"epochs": 1, "batch_rows": 64}, "seeds": 2, "dataset": toy.name}
    benchmark = fill(Benchmark, {**values, "run": [grid, {"method": "hard-sharing"}]}, "test")
    lines: list[str] = []
    ran = run(
        home,
        benchmark.with_baseline(),
        Execution(workers=1, track=False),
        lines.append,
        lambda runs, rows: nullcontext(Quiet()),
    )
    (found,) = ran["frontiers"]
    assert len(found["points"]) == found["trials"] == 3
    assert ran["family"]["arms"] == [FRONTIER, "hard-sharing"]
    assert found["costs"]["runs"] == 3 * (2 + 3)
    for one in found["points"]:
        mine = [
            r
            for r in ran["runs"]
            if r["balancer_options"] == {"weights": one["weights"]} and r["seed"] in found["seeds"]
        ]
        assert one["test"]["click"] == pytest.approx(
            np.mean([r["metrics"]["test"]["click"]["auc"] for r in mine])
        )
    again = compare_stored(home, None, toy.name, lines.append, Family())
    assert again["frontiers"][0]["chosen"] == found["chosen"]
    assert again["frontiers"][0]["tests"] == found["tests"]


class Quiet:
    """No progress."""

    def rows(self, rows: int) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        pass
