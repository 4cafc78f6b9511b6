"""Every metric against a second implementation, by hand, and where it is undefined."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as peer

from mtlbench import metrics
from mtlbench.errors import UndefinedMetric

Array = NDArray[Any]
BINARY = ["auc", "gauc", "average_precision", "log_loss", "normalised_entropy", "ece"]
REGRESSION = ["r2", "rmse", "mae"]


def rows(
    seed: int, size: int = 200, levels: int = 12
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.int64]]:
    """Labels, scores with many ties, and clusters of odd sizes with large unordered ids."""
    rng = np.random.default_rng(seed)
    label = rng.random(size) < 0.3
    score = ((rng.integers(0, levels, size) + 2 * label) / (levels + 4)).astype(np.float32)
    cluster = rng.choice(rng.integers(-(2**62), 2**62, 25), size)
    return label, score, cluster


def auc_by_pairs(label: Array, score: Array) -> float:
    """The definition, O(n^2)."""
    pairs = list(product(score[label], score[~label]))
    return float(sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [2, 12, 10_000])
def test_auc_is_the_share_of_pairs_won(seed: int, levels: int) -> None:
    label, score, _ = rows(seed, levels=levels)
    assert metrics.auc(label, score) == pytest.approx(auc_by_pairs(label, score), abs=1e-15)
    assert metrics.auc(label, score) == pytest.approx(peer.roc_auc_score(label, score), abs=1e-12)


def test_auc_by_hand() -> None:
    """Positives .8 and .4 against negatives .4 and .1: two wins, one win, one tie of four pairs."""
    label = np.array([True, True, False, False])
    assert metrics.auc(label, np.array([0.8, 0.4, 0.4, 0.1])) == 3.5 / 4
    assert metrics.auc(label, np.array([1.0, 1.0, 0.0, 0.0])) == 1.0
    assert metrics.auc(label, np.zeros(4)) == 0.5


def test_auc_ignores_row_order_and_monotone_transforms() -> None:
    label, score, _ = rows(0)
    value = metrics.auc(label, score)
    shuffled = np.random.default_rng(1).permutation(len(label))
    assert metrics.auc(label[shuffled], score[shuffled]) == value
    assert metrics.auc(label, np.exp(5 * score.astype(np.float64))) == value
    assert metrics.auc(label, -score) == pytest.approx(1 - value, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_gauc_is_the_row_weighted_mean_of_the_clusters_aucs(seed: int) -> None:
    label, score, cluster = rows(seed)
    weights, aucs = [], []
    for c in np.unique(cluster):
        mine = cluster == c
        if 0 < label[mine].sum() < mine.sum():
            weights.append(mine.sum())
            aucs.append(auc_by_pairs(label[mine], score[mine]))
    assert metrics.gauc(label, score, cluster) == pytest.approx(np.average(aucs, weights=weights), abs=1e-14)


def test_gauc_by_hand_leaves_out_clusters_of_one_class() -> None:
    """Cluster 7 (3 rows) ranks 1 of 2 pairs right, cluster 3 (2 rows) all; cluster 5 has no positive."""
    cluster = np.array([7, 3, 7, 5, 7, 3])
    label = np.array([True, False, False, False, False, True])
    score = np.array([0.5, 0.1, 0.9, 0.99, 0.2, 0.3])
    assert metrics.gauc(label, score, cluster) == pytest.approx((3 * 0.5 + 2 * 1.0) / 5)
    sizes, aucs = metrics.auc_by_cluster(label, score, cluster)
    assert sizes.tolist() == [2, 1, 3]
    np.testing.assert_array_equal(aucs, [1.0, np.nan, 0.5])


def test_gauc_of_one_cluster_is_the_auc() -> None:
    label, score, cluster = rows(3)
    whole = metrics.gauc(label, score, np.zeros_like(cluster))
    assert whole == pytest.approx(metrics.auc(label, score), abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [2, 12, 10_000])
def test_average_precision_equals_scikit_learn(seed: int, levels: int) -> None:
    label, score, _ = rows(seed, levels=levels)
    expected = peer.average_precision_score(label, score)
    assert metrics.average_precision(label, score) == pytest.approx(expected, abs=1e-12)


def test_average_precision_by_hand() -> None:
    """By falling score: hit (precision 1), miss, hit (2/3): their mean over two positives."""
    label = np.array([False, True, True])
    assert metrics.average_precision(label, np.array([0.5, 0.2, 0.9])) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.average_precision(np.array([True, True]), np.array([0.1, 0.2])) == 1.0
    assert metrics.average_precision(label, np.zeros(3)) == pytest.approx(2 / 3)  # the base rate


def test_log_loss_and_normalised_entropy_equal_scikit_learn() -> None:
    label, score, _ = rows(1)
    score = np.clip(score.astype(np.float64), 0.01, 0.99)
    base_rate = np.full(len(label), label.mean())
    loss = peer.log_loss(label, score)
    assert metrics.log_loss(label, score) == pytest.approx(loss, rel=1e-12)
    assert metrics.normalised_entropy(label, score) == pytest.approx(loss / peer.log_loss(label, base_rate))
    assert metrics.normalised_entropy(label, base_rate) == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_clips_certain_predictions(dtype: type) -> None:
    """Sure and wrong costs -ln(1e-7), in float32 too, where 1 - 1e-7 is not a number of its own."""
    assert metrics.log_loss(np.array([True]), np.array([0.0], dtype)) == pytest.approx(-np.log(1e-7))
    assert metrics.log_loss(np.array([False]), np.array([1.0], dtype)) == pytest.approx(-np.log(1e-7))
    assert metrics.log_loss(np.array([True]), np.array([1.0], dtype)) == pytest.approx(1e-7)


def ece_by_loop(label: Array, score: Array) -> float:
    """Twenty bins of neighbours in score, for scores without ties."""
    order = np.argsort(score)
    bins = [b for b in np.array_split(order, 20) if len(b)]
    gaps = [len(b) * abs(label[b].mean() - score[b].mean(dtype=np.float64)) for b in bins]
    return float(sum(gaps) / len(score))


@pytest.mark.parametrize("size", [1, 7, 19, 20, 21, 400, 1013])
def test_ece_equals_a_loop_over_bins(size: int) -> None:
    rng = np.random.default_rng(size)
    score, label = rng.random(size), rng.random(size) < 0.4
    assert metrics.ece(label, score) == pytest.approx(ece_by_loop(label, score), abs=1e-14)


def test_ece_with_ties_does_not_depend_on_row_order() -> None:
    label, score, _ = rows(2, size=333, levels=3)
    shuffled = np.random.default_rng(0).permutation(len(label))
    assert metrics.ece(label[shuffled], score[shuffled]) == pytest.approx(
        metrics.ece(label, score), abs=1e-15
    )
    constant = np.full(len(label), 0.9)
    assert metrics.ece(label, constant) == pytest.approx(0.9 - label.mean())


def test_regression_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    label = rng.normal(3, 2, 300).astype(np.float32)
    score = (label + rng.normal(0, 1, 300)).astype(np.float32)
    exact = label.astype(np.float64), score.astype(np.float64)
    assert metrics.r2(label, score) == pytest.approx(peer.r2_score(*exact), abs=1e-12)
    assert metrics.rmse(label, score) == pytest.approx(peer.root_mean_squared_error(*exact), abs=1e-12)
    assert metrics.mae(label, score) == pytest.approx(peer.mean_absolute_error(*exact), abs=1e-12)


def test_regression_metrics_by_hand() -> None:
    """Errors 0, 1, -2 on labels 1, 2, 3: SSE 5, SST 2."""
    label, score = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 1.0])
    assert metrics.r2(label, score) == pytest.approx(1 - 5 / 2)
    assert metrics.rmse(label, score) == pytest.approx(np.sqrt(5 / 3))
    assert metrics.mae(label, score) == 1.0


@pytest.mark.parametrize("metric", [metrics.auc, metrics.normalised_entropy])
@pytest.mark.parametrize("label", [np.ones(3, bool), np.zeros(3, bool), np.ones(1, bool)])
def test_one_class_is_undefined(metric: Callable[[Array, Array], float], label: Array) -> None:
    with pytest.raises(UndefinedMetric, match="all labels are equal"):
        metric(label, np.linspace(0.1, 0.9, len(label)))


def test_undefined_metrics_say_why() -> None:
    two = np.array([0.2, 0.7])
    with pytest.raises(UndefinedMetric, match="no positive"):
        metrics.average_precision(np.zeros(2, bool), two)
    with pytest.raises(UndefinedMetric, match="no cluster has both classes"):
        metrics.gauc(np.array([True, False]), two, np.array([1, 2]))
    with pytest.raises(UndefinedMetric, match="all labels are equal"):
        metrics.r2(np.full(2, 0.1, np.float32), two)  # although .1 is no exact mean of itself
    with pytest.raises(UndefinedMetric, match="not finite"):
        metrics.auc(np.array([True, False]), np.array([0.2, np.nan]))
    for metric in (metrics.log_loss, metrics.ece, metrics.rmse, metrics.mae, metrics.r2, metrics.auc):
        with pytest.raises(UndefinedMetric, match="no row"):
            metric(np.zeros(0), np.zeros(0))


def test_a_missing_label_is_an_error_not_a_positive() -> None:
    with pytest.raises(ValueError, match="NaN"):
        metrics.auc(np.array([0.0, 1.0, np.nan]), np.array([0.1, 0.2, 0.3]))


def test_score_task_drops_rows_where_the_task_is_not_defined() -> None:
    label, score, cluster = rows(4)
    holes = np.random.default_rng(0).random(len(label)) < 0.2
    with_holes = np.where(holes, np.nan, label).astype(np.float32)
    scored = metrics.score_task("binary", with_holes, score, cluster)
    assert list(scored) == BINARY
    keep = ~holes
    assert scored["auc"] == metrics.auc(label[keep], score[keep])
    assert scored["gauc"] == metrics.gauc(label[keep], score[keep], cluster[keep])
    assert scored["ece"] == metrics.ece(label[keep], score[keep])


def test_score_task_gives_none_where_a_metric_is_undefined() -> None:
    one = np.ones(1, np.float32)
    scored = metrics.score_task("binary", one, one / 4, np.zeros(1, np.int64))
    assert scored == {
        "auc": None,
        "gauc": None,
        "average_precision": 1.0,
        "log_loss": pytest.approx(np.log(4)),
        "normalised_entropy": None,
        "ece": 0.75,
    }
    nothing = metrics.score_task("binary", one * np.nan, one, np.zeros(1, np.int64))
    assert nothing == dict.fromkeys(BINARY)


def test_score_task_of_a_regression() -> None:
    label = np.array([1.0, np.nan, 3.0], np.float32)
    scored = metrics.score_task("regression", label, np.full(3, 2.0, np.float32), np.zeros(3, np.int64))
    assert scored == {"r2": 0.0, "rmse": 1.0, "mae": 1.0}
    assert list(scored) == REGRESSION
    with pytest.raises(ValueError, match="multiclass"):
        metrics.score_task("multiclass", label, label, label)
