"""The mean gain over tasks against a numeric derivative, brute force and simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench import metrics
from mtlbench.statistics.influence import influence
from mtlbench.statistics.mean_gain import mean_gain
from mtlbench.statistics.variance import two_way
from tests.statistics.samples import Sample, sample

UNITS = (0.001, 0.005)


def defined(s: Sample) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows of the AUC task and of the R2 task: each lacks clusters, some of them in common."""
    return s.index % 7 != 1, (s.index % 5 != 2) & (s.index != 1)


def gains(s: Sample, keep: NDArray[np.bool_], seed: int) -> float:
    """The mean gain in units, from the metrics' own definitions on the rows that are kept."""
    binary, regression = (rows & keep for rows in defined(s))
    auc, r2 = (
        metric(label[rows], s.method[seed][rows]) - metric(label[rows], s.baseline[seed][rows])
        for metric, label, rows in ((metrics.auc, s.label, binary), (metrics.r2, s.value, regression))
    )
    return float((auc / UNITS[0] + r2 / UNITS[1]) / 2)


def contrasts(s: Sample) -> tuple[list[NDArray[np.float64]], list[NDArray[np.int64]]]:
    """Of both tasks, as a comparison has them: over the clusters of their own rows."""
    found, members = [], []
    for metric, label, rows in zip(("auc", "r2"), (s.label, s.value), defined(s), strict=True):
        ids, index = np.unique(s.index[rows], return_inverse=True)
        pairs = [
            influence(metric, label[rows], m[rows], index, len(ids))
            - influence(metric, label[rows], b[rows], index, len(ids))
            for m, b in zip(s.method, s.baseline, strict=True)
        ]
        found.append(np.stack(pairs, axis=1))
        members.append(ids.astype(np.int64))
    return found, members


def test_each_seeds_mean_is_its_mean_gain() -> None:
    s = sample(0, clusters=40, rows=400)
    d = mean_gain(*contrasts(s), UNITS)
    assert d.shape == (38, 3)  # clusters 1 and 22 have no row of either task
    everyone = np.ones(len(s.label), bool)
    assert d.mean(axis=0) == pytest.approx([gains(s, everyone, seed) for seed in range(3)], rel=1e-10)


def test_its_error_agrees_with_the_delete_one_cluster_jackknife() -> None:
    """Of the mean gain, whose tasks share clusters and scores; the two differ by terms of order 1/U."""
    s = sample(1, clusters=300, rows=6000, seeds=1, decimals=3)
    d = mean_gain(*contrasts(s), UNITS)
    members = np.unique(s.index[np.logical_or(*defined(s))])
    clusters = len(members)
    everyone = gains(s, np.ones(len(s.label), bool), 0)
    left_out = np.array([gains(s, s.index != u, 0) for u in members])
    pseudo = clusters * everyone - (clusters - 1) * left_out
    assert d.std(ddof=1) == pytest.approx(pseudo.std(ddof=1), rel=0.03)
    assert np.corrcoef(d[:, 0], pseudo)[0, 1] > 0.999


def test_tasks_that_share_all_clusters_are_plainly_averaged() -> None:
    rng = np.random.default_rng(0)
    tasks, ids = [rng.normal(size=(50, 4)) for _ in range(3)], np.arange(50) * 3
    expected = (tasks[0] / 2 + tasks[1] / 4 + tasks[2]) / 3
    assert mean_gain(tasks, [ids] * 3, (2, 4, 1)) == pytest.approx(expected, abs=1e-12)


def test_the_correlation_of_tasks_is_in_its_error() -> None:
    """One task twice is as uncertain as once; as if independent, the error would be 1/sqrt 2 of it."""
    s = sample(2, clusters=60, rows=900, seeds=5)
    (task, _), (ids, _) = contrasts(s)
    assert two_way(mean_gain([task, task], [ids, ids], (1, 1))).se == pytest.approx(two_way(task).se)
    opposed = two_way(mean_gain([task, -task], [ids, ids], (1, 1)))
    assert (opposed.gain, opposed.se) == pytest.approx((0, 0), abs=1e-12)
