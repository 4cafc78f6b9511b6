"""Metrics: labels and scores in, one number out.

Unless a function says otherwise, `label` is (rows,) True or nonzero where the event happened, `score` is
(rows,) a probability, and `cluster` is (rows,) the user or session of each row. Scores may be float32; sums
are float64. A score that is not finite makes every metric undefined: ranking it would be a guess.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import UndefinedMetric

LOG_LOSS_CLIP = 1e-7
"""Probabilities are clipped to [this, 1 - this] before the logarithm."""
ECE_BINS = 20

Array = NDArray[Any]


def auc(label: Array, score: Array) -> float:
    """Area under the ROC curve: P(score of a random positive > score of a random negative).

    Args:
        label: (rows,) True where the event happened.
        score: (rows,) any monotone score, logit or probability; ties count one half.

    Returns:
        A fraction in [0, 1]; 0.5 is chance. The wins are counted in integers, so it is exact.

    Raises:
        UndefinedMetric: all labels are equal, as in a small split of a rare task.

    Source: Hanley and McNeil, Radiology 143(1), 1982 (the Mann-Whitney form).
    """
    positive = both_classes(label, score)
    order = np.argsort(score)
    ends = _run_ends(score[order])  # a run: the rows of one score
    positives = np.diff(np.cumsum(positive[order], dtype=np.int64)[ends], prepend=0)
    negatives = np.diff(ends + 1, prepend=0) - positives
    twice_wins = positives @ (2 * (np.cumsum(negatives) - negatives) + negatives)
    return float(twice_wins / (2 * positives.sum() * negatives.sum()))


def gauc(label: Array, score: Array, cluster: Array) -> float:
    """AUC within each cluster, averaged over the clusters with both classes, weighted by their rows.

    Raises:
        UndefinedMetric: no cluster has both classes.

    Source: Zhou et al., "Deep Interest Network", KDD 2018, section 6.2 (weighted by impressions).
    """
    rows, within = auc_by_cluster(label, score, cluster)
    mixed = ~np.isnan(within)
    if not mixed.any():
        raise UndefinedMetric("no cluster has both classes")
    return float(rows[mixed] @ within[mixed] / rows[mixed].sum())


def auc_by_cluster(
    label: Array, score: Array, cluster: Array
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows and AUC of each cluster, by increasing cluster; the AUC is NaN where all labels are equal."""
    positive = _checked(label, score)
    order = np.lexsort((score, cluster))
    sorted_cluster, sorted_positive = cluster[order], positive[order]
    ends = _run_ends(score[order], sorted_cluster)
    last_of_cluster = _run_ends(sorted_cluster)
    run_cluster = np.searchsorted(last_of_cluster, ends)  # (runs,) dense index of the run's cluster

    before = np.cumsum(sorted_positive, dtype=np.int64)
    positives = np.diff(before[ends], prepend=0)
    negatives = np.diff(ends + 1, prepend=0) - positives
    cluster_rows = np.diff(last_of_cluster + 1, prepend=0)
    cluster_positives = np.diff(before[last_of_cluster], prepend=0)
    cluster_negatives = cluster_rows - cluster_positives

    negatives_in_earlier_clusters = (np.cumsum(cluster_negatives) - cluster_negatives)[run_cluster]
    negatives_below = np.cumsum(negatives) - negatives - negatives_in_earlier_clusters
    twice_wins = np.bincount(
        run_cluster, weights=positives * (2 * negatives_below + negatives), minlength=len(cluster_rows)
    )
    with np.errstate(invalid="ignore"):
        return cluster_rows, twice_wins / (2 * cluster_positives * cluster_negatives)


def average_precision(label: Array, score: Array) -> float:
    """Precision averaged over the positives, by decreasing score: the area under precision-recall steps.

    Rows of equal score enter together, so their order does not matter. Chance is the base rate.

    Raises:
        UndefinedMetric: there are no positives.
    """
    positive = _checked(label, score)
    if not positive.any():
        raise UndefinedMetric("there is no positive")
    order = np.argsort(score)[::-1]
    ends = _run_ends(score[order])
    found = np.cumsum(positive[order], dtype=np.int64)[ends]
    return float(np.diff(found, prepend=0) @ (found / (ends + 1)) / found[-1])


def log_loss(label: Array, score: Array) -> float:
    """Mean negative log likelihood in nats, probabilities clipped to [1e-7, 1 - 1e-7].

    Raises:
        UndefinedMetric: there is no row.
    """
    return float(log_losses(label, score).mean())


def log_losses(label: Array, score: Array) -> NDArray[np.float64]:
    """Negative log likelihood of each row, in nats; `log_loss` is its mean."""
    positive = _checked(label, score)
    probability = np.clip(score, LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP, dtype=np.float64)
    losses: NDArray[np.float64] = -np.log(np.where(positive, probability, 1 - probability))
    return losses


def normalised_entropy(label: Array, score: Array) -> float:
    """Log loss divided by that of always predicting these rows' base rate; below 1 beats the base rate.

    Raises:
        UndefinedMetric: all labels are equal, so the base rate's loss is 0.

    Source: He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD 2014, section 3.
    """
    rate = both_classes(label, score).mean()
    return log_loss(label, score) / float(-rate * np.log(rate) - (1 - rate) * np.log1p(-rate))


def ece(label: Array, score: Array) -> float:
    """Expected calibration error: mean |observed - predicted rate| over 20 bins of equal mass.

    Bins hold equally many rows by rank of the score; if 20 does not divide the rows, the first bins have one
    more. With fewer than 20 rows, each is a bin. Rows of equal score enter with their common observed rate,
    so the order of the rows does not matter and a constant prediction scores |base rate - prediction|.

    Raises:
        UndefinedMetric: there are no rows.

    Source: Naeini et al., AAAI 2015, with the equal-mass bins of Nguyen and O'Connor, EMNLP 2015.
    """
    positive = _checked(label, score)
    order = np.argsort(score)
    ordered = score[order].astype(np.float64)
    ends = _run_ends(ordered)
    run_rows = np.diff(ends + 1, prepend=0)
    run_positives = np.diff(np.cumsum(positive[order], dtype=np.int64)[ends], prepend=0)
    observed = np.repeat(run_positives / run_rows, run_rows)
    rows, bins = len(ordered), min(ECE_BINS, len(ordered))
    starts = np.arange(bins) * (rows // bins) + np.minimum(np.arange(bins), rows % bins)
    return float(np.abs(np.add.reduceat(observed - ordered, starts)).sum() / rows)


def r2(label: Array, score: Array) -> float:
    """Share of the label's variance that the prediction explains; 0 matches the mean, negative is worse.

    Raises:
        UndefinedMetric: all labels are equal.
    """
    errors = squared_errors(label, score)
    deviations = squared_deviations(label)
    return float(1 - errors.sum() / deviations.sum())


def squared_errors(label: Array, score: Array) -> NDArray[np.float64]:
    """Squared error of each row, in squared label units."""
    _checked(label, score)
    return np.square(np.subtract(label, score, dtype=np.float64))


def squared_deviations(label: Array) -> NDArray[np.float64]:
    """Squared distance of each label from the mean label.

    Raises:
        UndefinedMetric: all labels are equal.
    """
    if (label == label[0]).all():
        raise UndefinedMetric("all labels are equal")
    deviations: NDArray[np.float64] = label - label.mean(dtype=np.float64)
    return np.square(deviations)


def rmse(label: Array, score: Array) -> float:
    """Root of the mean squared error, in label units.

    Raises:
        UndefinedMetric: there is no row.
    """
    return float(np.sqrt(squared_errors(label, score).mean()))


def mae(label: Array, score: Array) -> float:
    """Mean absolute error, in label units.

    Raises:
        UndefinedMetric: there is no row.
    """
    return float(absolute_errors(label, score).mean())


def absolute_errors(label: Array, score: Array) -> NDArray[np.float64]:
    """Absolute error of each row, in label units; `mae` is its mean."""
    _checked(label, score)
    return np.abs(np.subtract(label, score, dtype=np.float64))


def score_task(kind: str, label: Array, score: Array, cluster: Array) -> dict[str, float | None]:
    """Compute every metric for a task of this kind, on the rows where its label is not NaN.

    Returns:
        Metric name -> value, None where the metric is undefined on these rows.
    """
    defined = ~np.isnan(label)
    if not defined.all():
        label, score, cluster = label[defined], score[defined], cluster[defined]
    if kind == "binary":
        label = label > 0

    values: dict[str, float | None] = {}
    for name, metric in _metrics(kind, cluster).items():
        try:
            values[name] = metric(label, score)
        except UndefinedMetric:
            values[name] = None
    return values


def _metrics(kind: str, cluster: Array) -> dict[str, Callable[[Array, Array], float]]:
    if kind == "binary":
        return {
            "auc": auc,
            "gauc": partial(gauc, cluster=cluster),
            "average_precision": average_precision,
            "log_loss": log_loss,
            "normalised_entropy": normalised_entropy,
            "ece": ece,
        }
    if kind == "regression":
        return {"r2": r2, "rmse": rmse, "mae": mae}
    raise ValueError(f"there are no metrics for tasks of kind {kind!r}")


def _checked(label: Array, score: Array) -> NDArray[np.bool_]:
    """Return the labels as booleans, after checking that there are rows and that every score is finite."""
    if label.shape != score.shape:
        raise ValueError(f"label has shape {label.shape}, score {score.shape}")
    if np.isnan(label).any():
        raise ValueError("label holds NaN: leave out the rows where the task is not defined")
    if len(label) == 0:
        raise UndefinedMetric("there is no row")
    if not np.isfinite(score).all():
        raise UndefinedMetric("some scores are not finite")
    return label.astype(np.bool_, copy=False)


def both_classes(label: Array, score: Array) -> NDArray[np.bool_]:
    """Return the labels as booleans, after checking that both classes occur.

    Raises:
        UndefinedMetric: all labels are equal, there are no rows, or some scores are not finite.
    """
    positive = _checked(label, score)
    if positive.all() or not positive.any():
        raise UndefinedMetric("all labels are equal")
    return positive


def _run_ends(*sorted_columns: Array) -> NDArray[np.int64]:
    """Return the index of the last row of each run of equal values, in columns sorted together."""
    rows = len(sorted_columns[0])
    changes = np.zeros(rows, np.bool_)
    changes[-1] = True
    for column in sorted_columns:
        changes[:-1] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)
