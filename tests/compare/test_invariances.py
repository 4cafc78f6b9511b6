"""What must not change a verdict: names of users, order of rows, more of the same, another scale."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench.compare import compare
from mtlbench.config import Family
from mtlbench.results import Result, Scores
from tests.compare.stored import SCHEMA, arm, by_task, save

Change = Callable[[Scores], Scores]
BINARY = ("view", "buy")
MIRRORED = {"POSITIVE": "NEGATIVE", "NEGATIVE": "POSITIVE"}


@pytest.fixture
def pair(tmp_path: Path) -> list[Result]:
    skill = {"view": 1.5, "buy": 0.6}
    return [*arm(tmp_path, "single-task"), *arm(tmp_path, "mmoe", skill=skill)]


def changed(path: Path, results: list[Result], change: Change, *methods: str) -> list[Result]:
    """The results, those of these methods (else all) with other scores."""
    return [
        save(path / f"changed-{r.method}-{r.seed}", r.method, r.seed, change(r.scores()))
        if r.method in (methods or (r.method,))
        else r
        for r in results
    ]


def rows(stored: Scores, index: NDArray[np.intp], cluster: NDArray[np.int64]) -> Scores:
    def at(columns: Any) -> dict[str, NDArray[np.float32]]:
        return {task: column[index] for task, column in columns.items()}

    return Scores(cluster, at(stored.label), at(stored.score), at(stored.score_best))


def permuted(stored: Scores) -> Scores:
    index = np.random.default_rng(3).permutation(len(stored.cluster))
    return rows(stored, index, stored.cluster[index])


def renamed(stored: Scores) -> Scores:
    ids = np.unique(stored.cluster)
    other = np.random.default_rng(4).permutation(10 * len(ids))[: len(ids)].astype(np.int64) - 99
    return rows(stored, np.arange(len(stored.cluster)), other[np.searchsorted(ids, stored.cluster)])


def repeated(stored: Scores) -> Scores:
    """Every row ten times, for the same user."""
    index = np.repeat(np.arange(len(stored.cluster)), 10)
    return rows(stored, index, stored.cluster[index])


def squeezed(stored: Scores) -> Scores:
    """Another scale: the rank of each score, in float32, so that order and ties are kept exactly."""
    score = {
        task: np.unique(x, return_inverse=True)[1].astype(np.float32) ** 3 / 1e9
        for task, x in stored.score.items()
    }
    return Scores(stored.cluster, stored.label, score, score)


@pytest.mark.parametrize("metric", ["", "gauc", "log_loss"])
@pytest.mark.parametrize("change", [permuted, renamed])
def test_names_and_order_of_rows_change_nothing(
    tmp_path: Path, pair: list[Result], change: Change, metric: str
) -> None:
    before = by_task(compare(pair, SCHEMA, Family(metric=metric)))
    after = by_task(compare(changed(tmp_path, pair, change), SCHEMA, Family(metric=metric)))
    for task, c in before.items():
        assert after[task]["verdict"] == c["verdict"]
        for key in ("gain", "se", "gain_best", "value", "p_value", "minimum_detectable_effect"):
            assert after[task][key] == pytest.approx(c[key], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("metric", ["", "gauc", "log_loss"])
def test_repeating_the_rows_of_every_user_shrinks_no_interval(
    tmp_path: Path, pair: list[Result], metric: str
) -> None:
    before = by_task(compare(pair, SCHEMA, Family(metric=metric)))
    after = by_task(compare(changed(tmp_path, pair, repeated), SCHEMA, Family(metric=metric)))
    for task, c in before.items():
        assert after[task]["clusters"] == c["clusters"]
        assert after[task]["verdict"] == c["verdict"]
        assert after[task]["se"] == pytest.approx(c["se"], rel=1e-9)
        assert after[task]["gain"] == pytest.approx(c["gain"], abs=1e-12)


@pytest.mark.parametrize("metric", ["auc", "gauc"])
@pytest.mark.parametrize("methods", [("mmoe",), ("single-task", "mmoe")])
def test_a_monotone_function_of_the_scores_changes_no_number_of_a_rank_metric(
    tmp_path: Path, pair: list[Result], metric: str, methods: tuple[str, ...]
) -> None:
    def found(results: list[Result]) -> dict[str, dict[str, Any]]:
        return by_task(compare(results, SCHEMA, Family(metric=metric, tasks=BINARY)))

    assert found(changed(tmp_path, pair, squeezed, *methods)) == found(pair)


def test_a_monotone_function_does_change_log_loss(tmp_path: Path, pair: list[Result]) -> None:
    """Or the test above would pass on anything."""
    found = [
        by_task(compare(results, SCHEMA, Family(metric="log_loss", tasks=BINARY)))["view"]["gain"]
        for results in (pair, changed(tmp_path, pair, squeezed, "mmoe"))
    ]
    assert abs(found[0] - found[1]) > 0.1


@pytest.mark.parametrize("metric", ["", "gauc"])
def test_swapped_arms_mirror_bit_by_bit(pair: list[Result], metric: str) -> None:
    forth = compare(pair, SCHEMA, Family(metric=metric)).to_json()["comparisons"]
    back = compare(pair, SCHEMA, Family(metric=metric, baseline="mmoe")).to_json()["comparisons"]
    assert {c["verdict"] for c in forth} >= {"POSITIVE", "NEGATIVE"}
    for one, other in zip(forth, back, strict=True):
        assert other["verdict"] == MIRRORED.get(one["verdict"], one["verdict"])
        assert (other["gain"], other["gain_best"]) == (-one["gain"], -one["gain_best"])
        assert other["interval_best"] == [-end for end in reversed(one["interval_best"])]
        assert other["se_best"] == one["se_best"]
        assert other["pairing"] == pytest.approx(one["pairing"])
