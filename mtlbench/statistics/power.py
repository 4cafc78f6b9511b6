"""What a comparison could have seen, and what it would take to see more."""

import math
from collections.abc import Callable

from scipy.special import nctdtr

from mtlbench.statistics.variance import Estimate, critical

POWER = 0.80
"""Chance with which an effect must be called to count as detectable."""
LARGEST = 10_000_000
"""No number of seeds or clusters beyond this is proposed."""

DegreesOfFreedom = Callable[[Estimate], float]


def power(effect: float, se: float, df: float, alpha: float) -> float:
    """Chance that a two-sided t test at `alpha` calls this effect, with its own sign (noncentral t)."""
    shift, threshold = abs(effect) / se, critical(df, alpha)
    if df >= 4 and shift - threshold > 30:
        return 1.0  # to six digits; nctdtr is NaN in places there
    return 1.0 - float(nctdtr(df, shift, threshold))


def minimum_detectable_effect(se: float, df: float, alpha: float) -> float:
    """Smallest effect that the test calls, with its own sign, with probability .80; in the unit of `se`.

    Returns:
        0 where `se` is 0; NaN where the degrees of freedom are too few for a value.
    """
    if se == 0:
        return 0.0
    threshold = critical(df, alpha) if se > 0 and df > 0 else math.nan
    low, high = 0.0, 2.0 * threshold + 10.0  # there T misses the threshold with a chance far below .20
    if not power(high, 1.0, df, alpha) > POWER:
        return math.nan
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, 1.0, df, alpha) >= POWER else (middle, high)
    return high * se


def seeds_needed(
    estimate: Estimate, delta: float, alpha: float, degrees: DegreesOfFreedom, least: int = 2
) -> int | None:
    """Fewest seeds, with as many clusters as now, that make delta detectable; None where none do."""
    return _fewest(lambda seeds: estimate.resized(seeds, estimate.clusters), delta, alpha, degrees, least)


def clusters_needed(
    estimate: Estimate, delta: float, alpha: float, degrees: DegreesOfFreedom, least: int = 2
) -> int | None:
    """Fewest clusters, with as many seeds as now, that make delta detectable; None where none do."""
    return _fewest(lambda clusters: estimate.resized(estimate.seeds, clusters), delta, alpha, degrees, least)


def _fewest(
    resized: Callable[[int], Estimate], delta: float, alpha: float, degrees: DegreesOfFreedom, least: int
) -> int | None:
    def enough(number: int) -> bool:
        expected = resized(number)
        if expected.se == 0:
            return True
        return power(delta, expected.se, degrees(expected), alpha) >= POWER  # False for NaN

    high = least
    while not enough(high):
        if high >= LARGEST:
            return None
        high = min(2 * high, LARGEST)
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
