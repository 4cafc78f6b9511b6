"""The mean gain over tasks, as one contrast: what a user who deploys one model for all tasks gets.

Guards against: averaging the tasks' standard errors, or their p-values, as if tasks were independent. They
are scored on the same users by the same models, so their errors are correlated; here the correlation is in
the contrast itself.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mean_gain(
    contrasts: Sequence[NDArray[np.float64]],
    clusters: Sequence[NDArray[np.int64]],
    units: Sequence[float],
) -> NDArray[np.float64]:
    """Return contrasts of G = mean_k g_k / unit_k, over the clusters that any task has.

    A task's contrast is d_k[u] = g_k + U_k dg_k/dw_u over its own U_k clusters (`statistics.influence`). Over
    all V clusters the same derivatives, 0 where the task has no row, give

        d[u] = G + V dG/dw_u = mean_k (g_k + (V / U_k) (d_k[u] - g_k)) / unit_k

    with d_k[u] = g_k where the task lacks cluster u. Its mean over u is G exactly, since the d_k[u] - g_k
    sum to 0; where every task has all clusters it is the plain mean of the d_k / unit_k.

    Args:
        contrasts: one array per task, (its clusters, seeds); each seed's mean is the gain of that seed.
        clusters: one array per task, the increasing ids of its clusters, in the order of its contrasts.
        units: divisor of each task's gain, such as the smallest effect that matters.

    Returns:
        (clusters, seeds), by increasing id, in units of `units`.
    """
    everyone = np.unique(np.concatenate(clusters))
    total = np.zeros((len(everyone), contrasts[0].shape[1]))
    for contrast, ids, unit in zip(contrasts, clusters, units, strict=True):
        gain = contrast.mean(axis=0)
        total += gain / unit
        total[np.searchsorted(everyone, ids)] += len(everyone) / len(ids) * (contrast - gain) / unit
    return total / len(contrasts)
