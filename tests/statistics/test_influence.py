"""Influences against the definition, a numeric derivative, and the delete-one-cluster jackknife."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench import metrics
from mtlbench.errors import UndefinedMetric
from mtlbench.statistics.influence import (
    auc_influence,
    influence,
    informative_clusters,
    placements,
    relative_loss_gain,
)
from mtlbench.statistics.variance import two_way
from tests.statistics.samples import sample

Array = NDArray[Any]
METRICS = ["auc", "gauc", "log_loss", "r2", "mae"]


def label_of(metric: str, s: Any) -> Array:
    return s.value if metric in ("r2", "mae") else s.label  # type: ignore[no-any-return]


def weighted(metric: str, label: Array, score: Array, index: Array, weights: Array) -> float:
    """The metric with a weight on each cluster, from its definition."""
    w = weights[index]
    if metric == "auc":
        pairs = list(product(np.flatnonzero(label), np.flatnonzero(~label)))
        won = sum(w[i] * w[j] * ((score[i] > score[j]) + (score[i] == score[j]) / 2) for i, j in pairs)
        return float(won / sum(w[i] * w[j] for i, j in pairs))
    if metric == "gauc":
        total = mass = 0.0
        for u in np.unique(index):
            mine = index == u
            if 0 < label[mine].sum() < mine.sum():
                total += weights[u] * mine.sum() * metrics.auc(label[mine], score[mine])
                mass += weights[u] * mine.sum()
        return total / mass
    if metric == "r2":
        mean = w @ label / w.sum()
        return float(1 - w @ (label - score) ** 2 / (w @ (label - mean) ** 2))
    losses = metrics.log_losses(label, score) if metric == "log_loss" else np.abs(label - score)
    return float(w @ losses / w.sum())


VALUE: dict[str, Callable[[Array, Array, Array], float]] = {
    "auc": lambda label, score, _: metrics.auc(label, score),
    "gauc": metrics.gauc,
    "log_loss": lambda label, score, _: metrics.log_loss(label, score),
    "r2": lambda label, score, _: metrics.r2(label, score),
    "mae": lambda label, score, _: metrics.mae(label, score),
}


@pytest.mark.parametrize("seed", range(3))
def test_placements_by_brute_force(seed: int) -> None:
    s = sample(seed)
    score = s.method[0]
    for i, placed in enumerate(placements(s.label, score)):
        others = score[s.label != s.label[i]]
        wins = np.mean((others < score[i]) + (others == score[i]) / 2)
        assert placed == pytest.approx(wins if s.label[i] else 1 - wins, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_the_mean_is_the_metric(metric: str, seed: int) -> None:
    s = sample(seed)
    label = label_of(metric, s)
    phi = influence(metric, label, s.method[0], s.index, s.clusters)
    assert phi.shape == (s.clusters,)
    assert phi.mean() == pytest.approx(VALUE[metric](label, s.method[0], s.index), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_the_derivative_in_the_clusters_weight(metric: str) -> None:
    """phi_u = M + U dM/dw_u, by central differences on the weighted definition."""
    s = sample(0, clusters=12, rows=80)
    label, score = label_of(metric, s), s.method[0]
    phi = influence(metric, label, score, s.index, s.clusters)
    step = 1e-5
    for u in range(s.clusters):
        bump = step * (np.arange(s.clusters) == u)
        up, down = (weighted(metric, label, score, s.index, 1 + sign * bump) for sign in (1, -1))
        slope = (up - down) / (2 * step)
        assert phi[u] == pytest.approx(
            weighted(metric, label, score, s.index, np.ones(s.clusters)) + s.clusters * slope, abs=1e-7
        )


@pytest.mark.parametrize("metric", METRICS)
def test_the_variance_agrees_with_the_delete_one_cluster_jackknife(metric: str) -> None:
    """Of the contrast of two arms; the two differ by terms of order 1/U."""
    s = sample(1, clusters=300, rows=6000, seeds=1, decimals=3)
    label = label_of(metric, s)
    contrast = influence(metric, label, s.method[0], s.index, s.clusters) - influence(
        metric, label, s.baseline[0], s.index, s.clusters
    )

    def gain(keep: Array) -> float:
        at = label[keep], s.index[keep]
        return VALUE[metric](at[0], s.method[0][keep], at[1]) - VALUE[metric](
            at[0], s.baseline[0][keep], at[1]
        )

    everyone = gain(np.ones(len(label), bool))
    pseudo = np.array(
        [s.clusters * everyone - (s.clusters - 1) * gain(s.index != u) for u in range(s.clusters)]
    )
    assert contrast.std(ddof=1) == pytest.approx(pseudo.std(ddof=1), rel=0.04)
    assert np.corrcoef(contrast, pseudo)[0, 1] > 0.995


def test_the_cluster_component_agrees_with_resampling_users() -> None:
    """Of one seed's AUC gain: the standard error over clusters, within 10 % of 2,000 resamples of users."""
    s = sample(6, clusters=200, rows=2000, seeds=1, decimals=3)
    contrast = auc_influence(s.label, s.method[0], s.index, s.clusters)
    contrast -= auc_influence(s.label, s.baseline[0], s.index, s.clusters)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(2000):
        times = np.bincount(rng.integers(0, s.clusters, s.clusters), minlength=s.clusters)
        drawn = np.repeat(np.arange(len(s.label)), times[s.index])
        method, baseline = (metrics.auc(s.label[drawn], x[0][drawn]) for x in (s.method, s.baseline))
        gains.append(method - baseline)
    assert contrast.std(ddof=1) / np.sqrt(s.clusters) == pytest.approx(np.std(gains), rel=0.1)


@pytest.mark.parametrize("metric", METRICS)
def test_the_contrast_averages_to_each_seeds_gain(metric: str) -> None:
    s = sample(2)
    label = label_of(metric, s)
    for mine, base in zip(s.method, s.baseline, strict=True):
        d = influence(metric, label, mine, s.index, s.clusters) - influence(
            metric, label, base, s.index, s.clusters
        )
        gain = VALUE[metric](label, mine, s.index) - VALUE[metric](label, base, s.index)
        assert d.mean() == pytest.approx(gain, abs=1e-12)


def test_auc_contrast_by_hand() -> None:
    """Protocol's d on two clusters, each a positive and a negative, S = 1.

    Method: scores 4 3 | 2 1 with labels 1 0 | 1 0: V10 = 1, 1/2; V01 = 1/2, 1; AUC 3/4.
    Baseline: scores 1 2 | 3 4: V10 = 0, 1/2; V01 = 1/2, 0; AUC 1/4. So g = 1/2, dV10 = 1, 0; dV01 = 0, 1 and
    d_1 = 1/2 + (2/2)(1 - 1/2) + (2/2)(0 - 1/2) = 1/2, d_2 = 1/2 as well.
    """
    label, index = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    method = auc_influence(label, np.array([4.0, 3.0, 2.0, 1.0]), index, 2)
    baseline = auc_influence(label, np.array([1.0, 2.0, 3.0, 4.0]), index, 2)
    np.testing.assert_allclose(method - baseline, [0.5, 0.5], atol=1e-15)


def test_clusters_of_one_class_count_but_do_not_move_gauc() -> None:
    label, index = np.array([True, False, True, True, False]), np.array([0, 0, 1, 2, 2])
    phi = influence("gauc", label, np.array([0.9, 0.1, 0.3, 0.2, 0.8]), index, 3)
    np.testing.assert_allclose(phi, [0.5 + 3 / 4 * 2 * 0.5, 0.5, 0.5 - 3 / 4 * 2 * 0.5])


@pytest.mark.parametrize("metric", METRICS)
def test_repeating_every_row_changes_nothing(metric: str) -> None:
    """Each cluster's rows ten times are the same evidence: SE to 1e-9 relative."""
    s = sample(3, clusters=40, rows=400)
    label = label_of(metric, s)

    def se(times: int) -> float:
        index = np.repeat(s.index, times)

        def phi(score: Array) -> Array:
            return influence(metric, np.repeat(label, times), np.repeat(score, times), index, s.clusters)

        pairs = zip(s.method, s.baseline, strict=True)
        return two_way(np.stack([phi(m) - phi(b) for m, b in pairs], axis=1)).se

    assert se(10) == pytest.approx(se(1), rel=1e-9)


def test_rows_taken_for_independent_would_be_found() -> None:
    """Were every row a cluster of its own, ten copies would shrink the error by sqrt(10)."""
    s = sample(3, clusters=40, rows=400)

    def se(times: int) -> float:
        label, rows = np.repeat(s.label, times), times * len(s.label)
        arms = (np.repeat(x[0], times) for x in (s.method, s.baseline))
        method, baseline = (auc_influence(label, x, np.arange(rows), rows) for x in arms)
        return float((method - baseline).std() / np.sqrt(rows))

    assert se(10) == pytest.approx(se(1) / np.sqrt(10), rel=1e-9)


@pytest.mark.parametrize("wrong", ["no factor U/n", "one class alone"])
def test_a_wrong_auc_influence_would_be_found(wrong: str) -> None:
    """The jackknife has teeth: estimators that leave a term out are off by far more than its tolerance."""
    s = sample(1, clusters=300, rows=6000, seeds=1, decimals=3)
    label, index, clusters = s.label, s.index, s.clusters

    def broken(score: Array) -> Array:
        deviation = placements(label, score) - metrics.auc(label, score)
        if wrong == "one class alone":
            return np.asarray(clusters / label.sum() * np.bincount(index, deviation * label, clusters))
        return np.bincount(index, deviation, clusters)

    right = auc_influence(label, s.method[0], index, clusters)
    right -= auc_influence(label, s.baseline[0], index, clusters)
    contrast = broken(s.method[0]) - broken(s.baseline[0])
    assert abs(contrast.std() / right.std() - 1) > 0.1


def test_auc_influence_ignores_monotone_transforms() -> None:
    s = sample(4)
    phi = auc_influence(s.label, s.method[0], s.index, s.clusters)
    np.testing.assert_array_equal(phi, auc_influence(s.label, np.exp(3 * s.method[0]), s.index, s.clusters))


def test_float32_scores_give_the_same_influences() -> None:
    s = sample(5)
    single = s.method[0].astype(np.float32)
    np.testing.assert_array_equal(
        auc_influence(s.label, single, s.index, s.clusters),
        auc_influence(s.label, single.astype(np.float64), s.index, s.clusters),
    )


def test_relative_loss_gain_is_a_share_of_the_baselines_seed_mean() -> None:
    method, baseline = np.array([[0.3, 0.1], [0.5, 0.3]]), np.array([[0.4, 0.2], [0.6, 0.4]])
    gains = relative_loss_gain(method, baseline)
    np.testing.assert_allclose(gains, np.full((2, 2), 0.1 / 0.4))
    assert gains.mean() == pytest.approx(1 - method.mean() / baseline.mean())
    with pytest.raises(UndefinedMetric):
        relative_loss_gain(method, np.zeros((2, 2)))


def test_a_metric_rests_on_the_clusters_that_can_move_it() -> None:
    """Clusters 0: + and -, 1: +, 2: - and -, 3: -. AUC rests on the two with a positive, GAUC on one."""
    label = np.array([1, 0, 1, 0, 0, 0], bool)
    index = np.array([0, 0, 1, 2, 2, 3])
    assert informative_clusters("auc", label, index, 4) == 2
    assert informative_clusters("auc", ~label, index, 4) == 2
    assert informative_clusters("gauc", label, index, 4) == 1
    assert informative_clusters("log_loss", label, index, 4) == 4


@pytest.mark.parametrize("metric", ["auc", "gauc"])
def test_one_class_is_undefined(metric: str) -> None:
    with pytest.raises(UndefinedMetric):
        influence(metric, np.ones(4, bool), np.arange(4) / 4, np.arange(4), 4)


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(ValueError, match="rmse"):
        influence("rmse", np.ones(2), np.ones(2), np.arange(2), 2)
