"""One deployable checkpoint against one for each task: who only peaks at another time is not harmed."""

from pathlib import Path

import pytest

from mtlbench.compare import compare
from mtlbench.config import Family
from mtlbench.report import remarks
from mtlbench.results import Result, Scores
from mtlbench.statistics.influence import influence
from tests.compare.stored import SCHEMA, arm, by_task, save, scores


def with_peaks(path: Path, skill: dict[str, float], at_peak: dict[str, float]) -> list[Result]:
    """An arm whose deployable checkpoint and whose best ones have these skills."""
    results = []
    for seed in range(6):
        deployable, best = scores(seed, skill, 77), scores(seed, at_peak, 77)
        stored = Scores(deployable.cluster, deployable.label, deployable.score, best.score)
        results.append(save(path / f"peaks-{seed}", "mmoe", seed, stored))
    return results


def test_a_task_that_peaks_at_another_time_is_told_from_one_that_is_harmed(tmp_path: Path) -> None:
    mine = with_peaks(tmp_path, {"view": 0.3, "buy": 0.3}, {"view": 1.0, "buy": 0.3})
    found = by_task(compare([*arm(tmp_path, "single-task"), *mine], SCHEMA, Family(tasks=("view", "buy"))))
    view, buy = found["view"], found["buy"]
    assert (view["verdict"], view["peaks_apart"]) == ("NEGATIVE", True)
    assert view["interval_best"][0] < view["gain_best"] < view["interval_best"][1]
    assert view["interval_best"][1] >= 0 > view["interval"][1]
    assert (buy["verdict"], buy["peaks_apart"]) == ("NEGATIVE", False)
    assert (buy["gain_best"], buy["se_best"]) == pytest.approx((buy["gain"], buy["se"]))


def test_the_remark_names_the_task_alone(tmp_path: Path) -> None:
    mine = with_peaks(tmp_path, {"view": 0.3, "buy": 0.3}, {"view": 1.0, "buy": 0.3})
    compared = compare([*arm(tmp_path, "single-task"), *mine], SCHEMA, Family(tasks=("view", "buy")))
    lines = [
        line
        for line in remarks(
            {**compared.to_json(), "seed_groups": [], "runs": [], "simulated": False, "cluster": "user"}
        )
        if "peak at different times" in line
    ]
    assert len(lines) == 1
    assert "with a checkpoint of its own, view does not lose" in lines[0]


def test_best_gains_come_from_the_best_checkpoints_scores(tmp_path: Path) -> None:
    mine = with_peaks(tmp_path, {}, {"stars": 2.0})
    base = arm(tmp_path, "single-task")
    c = by_task(compare([*base, *mine], SCHEMA))["stars"]
    expected = 0.0
    for one, other in zip(mine, base, strict=True):
        for sign, result in ((1, one), (-1, other)):
            stored = result.scores()
            defined = stored.label["stars"] == stored.label["stars"]
            label, score = stored.label["stars"][defined], stored.score_best["stars"][defined]
            index = stored.cluster[defined].argsort().argsort()
            expected += sign * influence("r2", label, score, index, len(label)).mean() / len(mine)
    assert c["gain_best"] == pytest.approx(expected)
    assert c["gain_best"] > c["gain"] + 0.1


def test_scores_alike_bit_by_bit_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million rows take seconds to sort."""
    calls: list[str] = []

    def counted(metric: str, *args: object) -> object:
        calls.append(metric)
        return influence(metric, *args)  # type: ignore[arg-type]

    monkeypatch.setattr("mtlbench.compare.influences.influence", counted)
    compare([*arm(tmp_path, "single-task"), *arm(tmp_path, "mmoe")], SCHEMA)
    assert len(calls) == 2 * 6 * 3  # arms, seeds, tasks
    calls.clear()
    compare(
        [*arm(tmp_path / "again", "single-task"), *with_peaks(tmp_path, {}, {"view": 2.0})],
        SCHEMA,
        Family(tasks=("view", "buy")),
    )
    assert len(calls) == 2 * 6 * 2 + 6  # view of the second arm once more
