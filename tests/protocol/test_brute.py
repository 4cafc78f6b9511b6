"""The brute-force checks can fail, and stand on definitions worked by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlbench.home import Home
from mtlbench.protocol import brute
from mtlbench.protocol.check import Lab
from mtlbench.statistics import influence as product

FIELDS = ("metric", "influence", "jackknife", "resampled")


def test_the_definitions_by_hand() -> None:
    """Users 0, 0, 1, 1 with labels 1 0 1 0 and scores 2 1 1 3: of four pairs one is won, one tied."""
    label, score = np.array([True, False, True, False]), np.array([2.0, 1.0, 1.0, 3.0])
    index, once = np.array([0, 0, 1, 1]), np.ones((1, 2))
    auc = brute.define("auc", label, score, index)
    assert auc(once) == pytest.approx(1.5 / 4)
    assert auc(np.array([[1.0, 0.0]])) == 1  # user 0 alone
    assert auc(np.array([[2.0, 1.0]])) == pytest.approx((4 * 1 + 2 * 0.5) / 9)  # pairs weigh w_u w_v
    assert brute.define("gauc", label, score, index)(np.array([[3.0, 1.0]])) == pytest.approx(3 / 4)
    assert brute.define("mae", label, score, index)(once) == pytest.approx((1 + 1 + 0 + 3) / 4)
    assert brute.define("r2", label, score, index)(once) == pytest.approx(1 - 11 / 1)


def test_the_product_agrees_with_the_definitions() -> None:
    found = brute.deviations(0)
    assert found.metric < 1e-10
    assert found.influence < 1e-5
    assert found.jackknife < 0.05
    assert found.resampled < 0.10


def test_an_influence_that_forgets_the_negatives_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeLong's variance has two sums; with one of them the mean is still the AUC."""

    def half(
        label: product.Array, score: product.Array, index: product.Index, clusters: int
    ) -> product.Array:
        deviation = product.placements(label, score) - np.mean(product.placements(label, score)[label])
        deviation = np.where(label, deviation, 0) * clusters / label.sum()
        return np.bincount(index, deviation, clusters) + np.mean(product.placements(label, score)[label])

    monkeypatch.setattr(product, "auc_influence", half)
    found = brute.deviations(0)
    assert found.metric < 1e-10
    assert found.influence > 1e-5
    assert found.jackknife > 0.05
    assert found.resampled > 0.10


def test_repeating_rows_changes_nothing(tmp_path: Path) -> None:
    [finding] = brute.a16(Lab(Home(tmp_path)))
    assert finding.holds, finding.measured


def test_an_error_over_rows_rather_than_users_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If every row were a cluster of its own, ten copies would look like ten times the data."""
    repeated = brute._repeated

    def rows_as_users(times: int, index: product.Array, *columns: Any) -> tuple[Any, ...]:
        cluster, *rest = repeated(times, index, *columns)
        return np.arange(len(cluster)), *rest

    monkeypatch.setattr(brute, "_repeated", rows_as_users)
    [finding] = brute.a16(Lab(Home(tmp_path)))
    assert not finding.holds
