"""What a comparison could have seen, what it would take to see more, and what one to come will see.

All effects are in the unit of the metric, all chances fractions.

Guards against: "no significant loss" taken for "no loss" where no loss of interest could have been seen; and
a benchmark run for days that could not have decided anything.

Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988 (power by the noncentral t);
Browne, Statistics in Medicine 14(17), 1995 (the upper bound of a pilot's variance).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scipy.special import chdtri, nctdtr

from mtlbench.statistics.variance import Estimate, critical

POWER = 0.80
"""Chance with which an effect must be called to count as detectable."""
LARGEST = 10_000_000
"""No number of seeds or clusters beyond this is proposed."""
CONFIDENCE = 0.80
"""Of the upper bound that stands in for the seed variance of a pilot."""

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


def upper_bound(variance: float, df: float, confidence: float = CONFIDENCE) -> float:
    """Bound that lies above the true variance with this chance: `df variance / chi2_{1-confidence}(df)`.

    Guards against: planning with the point estimate of a few seeds, which is too low more often than not (of
    five normal seeds, 59 times in 100).

    Args:
        variance: an estimate whose `df variance / truth` is chi-squared, such as a variance of normal draws.
        df: its degrees of freedom.
        confidence: the chance, above 0 and below 1.
    """
    return df * variance / float(chdtri(df, confidence))  # the chi-squared that is exceeded with that chance


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a comparison that is still to be made will be able to see.

    Attributes:
        estimate: the variance components that it is expected to have, the seeds' at their bound; gain NaN.
        df: degrees of freedom of the test at its level.
        minimum_detectable_effect: called with probability .80.
        seeds_needed: with the pilot's clusters, to detect delta; None where no number would do.
        clusters_needed: with the seeds to come, the same.
    """

    estimate: Estimate
    df: float
    minimum_detectable_effect: float
    seeds_needed: int | None
    clusters_needed: int | None


def forecast(
    pilot: Estimate,
    seeds: int,
    delta: float,
    alpha: float,
    degrees: DegreesOfFreedom,
    *,
    least_seeds: int = 2,
    least_clusters: int = 2,
) -> Forecast:
    """What a comparison with more seeds on the same clusters can see, from a pilot of a few.

    `(S-1) A / E[A]` is chi-squared with S - 1 degrees of freedom, where `E[A] = s_a^2/S + s_e^2/(S U)`: the
    bound is one of A as a whole. C, which is a part of A, is known on (S-1)(U-1) degrees of freedom and stays
    as it is, so that the bound of the seeds' own share is A's less C.

    Blind: the pilot's gain goes in nowhere and comes out nowhere, so that a plan cannot bias a verdict.

    Args:
        pilot: variance components of a contrast like those to come.
        seeds: how many there will be.
        delta: smallest effect of interest, in the unit of the gain.
        alpha: two-sided level of the test to come.
        degrees: its degrees of freedom, given what is expected.
        least_seeds, least_clusters: fewer are not proposed.
    """
    bounded = replace(pilot, gain=math.nan, seed=upper_bound(pilot.seed, pilot.seeds - 1))
    expected = bounded.resized(seeds, pilot.clusters)
    df = degrees(expected)
    return Forecast(
        estimate=expected,
        df=df,
        minimum_detectable_effect=minimum_detectable_effect(expected.se, df, alpha),
        seeds_needed=seeds_needed(expected, delta, alpha, degrees, least_seeds),
        clusters_needed=clusters_needed(expected, delta, alpha, degrees, least_clusters),
    )


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
