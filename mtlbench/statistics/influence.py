"""What each cluster adds to a metric, to first order: one number per cluster, whose mean is the metric.

For a metric M on clusters u = 1..U with weights w_u (all 1), the influence is

    phi_u = M + U dM/dw_u,    so that  mean_u phi_u = M  exactly.

M does not change when all weights are scaled together, so the derivatives sum to 0. The contrast of two arms
on one seed is d_u = phi_u(method) - phi_u(baseline): linear, hence exactly 0 for identical scores and exactly
negated when the arms are swapped. Every function takes `index`, (rows,) the dense number 0..U-1 of each row's
cluster, and returns (U,) float64 in the unit of the metric: a fraction for AUC, GAUC and R2, nats per row for
log loss, the label's unit for MAE.

Guards against: treating rows as independent. A user's rows share a taste, so a standard error over rows is
too small, and falls if each user's rows are merely repeated. An influence belongs to a whole cluster.

Source: the infinitesimal jackknife; Jaeckel, Bell Laboratories memorandum, 1972; Efron, The Jackknife, the
Bootstrap and Other Resampling Plans, SIAM 1982, chapter 6.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench import metrics
from mtlbench.errors import UndefinedMetric

Array = NDArray[Any]
Index = NDArray[np.intp]


def influence(metric: str, label: Array, score: Array, index: Index, clusters: int) -> NDArray[np.float64]:
    """Return (clusters,) influences on that metric, on rows where the label is defined.

    Raises:
        UndefinedMetric: the metric has no value on these rows.
    """
    if metric == "auc":
        return auc_influence(label, score, index, clusters)
    if metric == "gauc":
        return gauc_influence(label, score, index, clusters)
    if metric == "r2":
        return r2_influence(label, score, index, clusters)
    if metric == "log_loss":
        return mean_influence(metrics.log_losses(label, score), index, clusters)
    if metric == "mae":
        return mean_influence(metrics.absolute_errors(label, score), index, clusters)
    raise ValueError(f"no influence is known for {metric!r}")


def informative_clusters(metric: str, label: Array, index: Index, clusters: int) -> int:
    """Count the clusters that a metric rests on: no more than these count as independent.

    AUC: those with a positive row or those with a negative one, whichever are fewer; GAUC: those with both;
    other metrics: all.

    Guards against: a test on three users that passes for one on a thousand. With one positive row the metric
    moves with that row alone, and the spread over users is that of rows that carry no information.
    """
    if metric not in ("auc", "gauc"):
        return clusters
    positive = label.astype(np.bool_, copy=False)
    held = [np.bincount(index[side], minlength=clusters) > 0 for side in (positive, ~positive)]
    both = held[0] & held[1]
    return int(both.sum() if metric == "gauc" else min(side.sum() for side in held))


def auc_influence(label: Array, score: Array, index: Index, clusters: int) -> NDArray[np.float64]:
    """Return influences on AUC.

        phi_u = A + (U/n+) sum_{i in u,+} (V10_i - A) + (U/n-) sum_{j in u,-} (V01_j - A)

    Source: Obuchowski, Biometrics 53(2), 1997 (clustered data), on the placement values of DeLong, DeLong and
    Clarke-Pearson, Biometrics 44(3), 1988.
    """
    positive = metrics.both_classes(label, score)
    deviation = placements(label, score)
    value = float(deviation[positive].mean())
    deviation -= value
    positives = np.count_nonzero(positive)
    deviation *= np.where(positive, clusters / positives, clusters / (len(label) - positives))
    return _sums(index, deviation, clusters) + value


def placements(label: Array, score: Array) -> NDArray[np.float64]:
    """Return (rows,) the share of negatives that each positive beats, or of positives that beat a negative.

    Ties count one half. Both classes must occur. Over either class the mean is the AUC.
    """
    positive = label.astype(np.bool_, copy=False)
    order = np.argsort(score)
    ordered, ordered_positive = score[order], positive[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # a run: the rows of one score
    run_rows = np.diff(ends + 1, prepend=0)
    positives_to = np.cumsum(ordered_positive, dtype=np.int64)[ends]  # up to the run's end
    run_positives = np.diff(positives_to, prepend=0)
    run_negatives = run_rows - run_positives
    negatives_to = ends + 1 - positives_to
    below = (negatives_to - run_negatives / 2) / negatives_to[-1]
    above = 1 - (positives_to - run_positives / 2) / positives_to[-1]

    if len(ends) < len(order):
        below, above = np.repeat(below, run_rows), np.repeat(above, run_rows)
    placed = np.empty(len(order), np.float64)
    placed[order] = np.where(ordered_positive, below, above)
    return placed


def gauc_influence(label: Array, score: Array, index: Index, clusters: int) -> NDArray[np.float64]:
    """Return influences on GAUC: `phi_u = G + (U/W) n_u (A_u - G)`.

    GAUC is a ratio of sums over clusters with both classes, W the number of rows in those clusters; the other
    clusters count in U and have phi_u = G.

    Guards against: weighting an average over users by one quantity and its error by another, and silently
    dropping users of one class from U.
    """
    value = metrics.gauc(label, score, index)
    rows, within = metrics.auc_by_cluster(label, score, index)
    rows = np.where(np.isnan(within), 0, rows)
    influences: NDArray[np.float64] = value + clusters / rows.sum() * rows * (np.nan_to_num(within) - value)
    return influences


def r2_influence(label: Array, score: Array, index: Index, clusters: int) -> NDArray[np.float64]:
    """Return influences on R2: `phi_u = R2 + (U/SST) (SST_u - SSE_u - R2 SST_u)`.

    The label's mean is held fixed, which is exact to first order: the mean minimises SST, so its derivative
    is 0.

    Guards against: treating R2 as a mean over rows. SST varies with the users drawn, as SSE does.
    """
    errors = _sums(index, metrics.squared_errors(label, score), clusters)
    deviations = _sums(index, metrics.squared_deviations(label), clusters)
    total = deviations.sum()
    value = 1 - errors.sum() / total
    influences: NDArray[np.float64] = value + clusters / total * (deviations - errors - value * deviations)
    return influences


def mean_influence(values: Array, index: Index, clusters: int) -> NDArray[np.float64]:
    """Return influences on a mean, such as log loss: `phi_u = L + (U/n) (sum_{i in u} l_i - n_u L)`."""
    value = values.mean()
    influences: NDArray[np.float64] = value + clusters / len(values) * _sums(index, values - value, clusters)
    return influences


def relative_loss_gain(method: Array, baseline: Array) -> NDArray[np.float64]:
    """Return (clusters, seeds) contrasts of a loss as a share of the baseline's; higher is better.

    The baseline's mean over seeds is the unit and is held fixed: its own error is second order in the gain.

    Guards against: a separate unit for each seed, whose noise would pass for noise of the gain.

    Args:
        method: (clusters, seeds) influences on the loss.
        baseline: (clusters, seeds) influences of the baseline.

    Raises:
        UndefinedMetric: the baseline's loss is 0.
    """
    unit = float(baseline.mean())
    if unit == 0:
        raise UndefinedMetric("the baseline's loss is 0")
    gains: NDArray[np.float64] = (baseline - method) / unit
    return gains


def _sums(index: Index, values: Array, clusters: int) -> NDArray[np.float64]:
    """Return (clusters,) sums of the rows' values."""
    return np.bincount(index, weights=values, minlength=clusters).astype(np.float64, copy=False)
