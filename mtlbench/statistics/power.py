"""What a comparison could have detected, what it takes to detect more, and what a planned one will detect.

All effects are in the unit of the metric, all probabilities are fractions.

Guards against: "no significant loss" taken for "no loss" where no loss of interest could have been detected;
and a benchmark run for days that could not have decided anything.

Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988 (power by the noncentral t);
Browne, Statistics in Medicine 14(17), 1995 (the upper bound of a pilot's variance).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scipy.special import chdtri, nctdtr

from mtlbench.statistics.variance import Estimate, critical

POWER = 0.80
"""Probability with which an effect must be called to count as detectable."""
LARGEST = 10_000_000
"""Largest number of seeds or clusters that is proposed."""
CONFIDENCE = 0.80
"""Confidence of the upper bound that replaces a pilot's seed variance."""

DegreesOfFreedom = Callable[[Estimate], float]


def power(effect: float, se: float, df: float, alpha: float) -> float:
    """Return the chance that a two-sided t test at `alpha` calls this effect with its sign (noncentral t)."""
    shift, threshold = abs(effect) / se, critical(df, alpha)
    if df >= 4 and shift - threshold > 30:
        return 1.0  # to six digits; nctdtr is NaN in places there
    return 1.0 - float(nctdtr(df, shift, threshold))


def minimum_detectable_effect(se: float, df: float, alpha: float) -> float:
    """Return the smallest effect that the test calls, with its own sign, with probability .80.

    Returns:
        The effect in the unit of `se`; 0 if `se` is 0; NaN if there are too few degrees of freedom.
    """
    if se == 0:
        return 0.0
    threshold = critical(df, alpha) if se > 0 and df > 0 else math.nan
    low, high = 0.0, 2.0 * threshold + 10.0  # at `high`, T misses the threshold far less often than .20
    if not power(high, 1.0, df, alpha) > POWER:
        return math.nan
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, 1.0, df, alpha) >= POWER else (middle, high)
    return high * se


def upper_bound(variance: float, df: float, confidence: float = CONFIDENCE) -> float:
    """Return a bound above the true variance with this chance: `df variance / chi2_{1-confidence}(df)`.

    Guards against: planning with the point estimate of a few seeds, which is too low more often than not (for
    five normal seeds, 59 times in 100).

    Args:
        variance: an estimate whose `df variance / truth` is chi-squared, such as a variance of normal draws.
        df: its degrees of freedom.
        confidence: chance that the bound holds, above 0 and below 1.
    """
    return df * variance / float(chdtri(df, confidence))  # the chi-squared exceeded with that chance


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a planned comparison will be able to detect.

    Attributes:
        estimate: the expected variance components, that of the seeds at its bound; gain NaN.
        df: degrees of freedom of the test at its level.
        minimum_detectable_effect: smallest effect called with probability .80.
        seeds_needed: seeds that detect delta with the pilot's clusters; None if no number does.
        clusters_needed: clusters that detect delta with the planned seeds; None if no number does.
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
    """Forecast what a comparison with more seeds on the same clusters can detect, from a pilot of a few.

    `(S-1) A / E[A]` is chi-squared with S - 1 degrees of freedom, where `E[A] = s_a^2/S + s_e^2/(S U)`: the
    bound applies to A as a whole. C, which is a part of A, is known on (S-1)(U-1) degrees of freedom and is
    left as it is, so the bound of the seeds' own share is that of A minus C.

    Blind: the pilot's gain is neither used nor returned, so a plan cannot bias a verdict.

    Args:
        pilot: variance components of a contrast like the planned ones.
        seeds: planned number of seeds.
        delta: smallest effect of interest, in the unit of the gain.
        alpha: two-sided level of the planned test.
        degrees: maps an expected estimate to the degrees of freedom of its test.
        least_seeds, least_clusters: smallest numbers that are proposed.
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
    """Return the fewest seeds, with as many clusters as now, that make delta detectable; None if none do."""
    return _fewest(lambda seeds: estimate.resized(seeds, estimate.clusters), delta, alpha, degrees, least)


def clusters_needed(
    estimate: Estimate, delta: float, alpha: float, degrees: DegreesOfFreedom, least: int = 2
) -> int | None:
    """Return the fewest clusters, with as many seeds as now, that make delta detectable; None if none do."""
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
