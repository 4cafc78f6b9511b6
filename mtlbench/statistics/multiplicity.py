"""Many tests at once: p-values adjusted so that they can be compared with alpha itself.

Each function takes the p-values of one family and `members`, the size of that family if some of its tests
have no p-value: those count as p = 1. Adjusted values are in the order given. P-values are fractions.

Guards against: a table of forty cells in which two are "significant" by chance, and a family that shrinks
when a run fails.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float], members: int | None = None) -> NDArray[np.float64]:
    """Adjust by step-down Bonferroni: the same guarantee as Bonferroni, never less power.

    Source: Holm, Scandinavian Journal of Statistics 6(2), 1979.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = (members or len(p)) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps * p[order]))
    return adjusted


def benjamini_hochberg(p_values: Sequence[float], members: int | None = None) -> NDArray[np.float64]:
    """Adjust to control the expected share of false calls among all; for exploration, never for a verdict.

    Source: Benjamini and Hochberg, JRSS B 57(1), 1995 (independent or positively dependent tests).
    """
    p = np.asarray(p_values, np.float64)
    falling = np.argsort(-p, kind="stable")
    ranks = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[falling] = np.minimum(1.0, np.minimum.accumulate((members or len(p)) / ranks * p[falling]))
    return adjusted
