"""The verdict on each member of a family of comparisons.

POSITIVE and NEGATIVE control the chance of any false call in the family (Holm). The verdict is the first
that holds of NO_VERDICT, NEGATIVE, POSITIVE, EQUIVALENT, INCONCLUSIVE; `equivalent` and `material` are given
beside it, so that "negative, but negligible" can be told from "negative, and it matters".

Guards against: a verdict from too few data (with three seeds even this test calls 7.1 % at a nominal 5 %, and
a Wilcoxon test over five cannot call at all), a tail too generous for a family's level, a difference too
small to matter sold as one that does, and silence where nothing could have been detected.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mtlbench.statistics.equivalence import tost
from mtlbench.statistics.multiplicity import holm
from mtlbench.statistics.power import clusters_needed, minimum_detectable_effect, seeds_needed
from mtlbench.statistics.variance import Estimate, interval, p_value

MIN_SEEDS = 5
MIN_CLUSTERS = 30
INTERVAL_ALPHA = 0.05
"""Level of the unadjusted interval: always the 95 % one, whatever alpha the verdicts use."""
FAR_TAIL_SEEDS = 10
"""Seeds below which Satterthwaite's t is too generous far out: 2.5 times nominal at .05/12 with 5 seeds."""
FAR_TAIL_LEVEL = 0.05 / 20
"""Level below which, as in a larger family at .05, the Holm step is too far out for any number of seeds."""
FAR_TAIL_SURE = 15
"""Seeds from which on Satterthwaite's t needs no bound down to `FAR_TAIL_LEVEL`."""
FAR_TAIL_SHARE = 1.5
"""Bound of its degrees of freedom in between, from 10 to 14 seeds, as a multiple of S - 1."""


class Verdict(StrEnum):
    """Verdict on one task under one method, in order of precedence."""

    NO_VERDICT = "NO_VERDICT"
    NEGATIVE = "NEGATIVE"
    POSITIVE = "POSITIVE"
    EQUIVALENT = "EQUIVALENT"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One comparison, judged as a member of its family; NaN where a number has no value.

    Attributes:
        df: Satterthwaite's degrees of freedom, used for `interval` and `p_value`.
        interval: 95 % interval of the gain, unadjusted.
        p_value: two-sided, unadjusted.
        adjusted_df: the degrees of freedom used for everything adjusted.
        adjusted_p_value: two-sided, after Holm.
        adjusted_interval: interval of the gain at level 1 - alpha/M.
        material: the adjusted interval lies wholly beyond +-delta.
        equivalence_p: p of the two one-sided tests, after Holm; at most alpha where `equivalent`.
        minimum_detectable_effect: smallest effect called with probability .80 at two-sided alpha/M.
        seeds_needed: seeds that detect delta (or the measured gain, if delta is detectable already) with as
            many clusters; None if no number does.
        clusters_needed: the same for clusters, with as many seeds.
        reason: why there is no verdict; empty if there is one.
    """

    verdict: Verdict
    reason: str
    df: float
    interval: tuple[float, float]
    p_value: float
    adjusted_df: float
    adjusted_p_value: float
    adjusted_interval: tuple[float, float]
    material: bool
    equivalent: bool
    equivalence_p: float
    minimum_detectable_effect: float
    seeds_needed: int | None
    clusters_needed: int | None


def judge(
    estimates: Sequence[Estimate],
    deltas: Sequence[float],
    *,
    alpha: float = 0.05,
    reasons: Sequence[str] | None = None,
    cluster: str = "cluster",
    members: int | None = None,
) -> list[Judgement]:
    """Judge every estimate as a member of its family.

    Args:
        estimates: the members; those without a p-value count towards the family's size, as p = 1.
        deltas: smallest effect of interest of each, in the unit of its gain.
        alpha: chance of any false POSITIVE or NEGATIVE in the family.
        reasons: why each member cannot have a verdict, as known to the caller; empty if it can.
        cluster: what a cluster is called in reasons.
        members: size of the family if some of its members are not given; at least `len(estimates)`.
    """
    members = max(members or 0, len(estimates))
    share = alpha / max(members, 1)
    reasons = reasons or [""] * len(estimates)
    dfs = [adjusted_df(e.df, e.seeds, share) for e in estimates]
    adjusted = _holm_of_defined([p_value(e, df) for e, df in zip(estimates, dfs, strict=True)], members)
    equivalence = _holm_of_defined(
        [tost(e, df, delta) for e, df, delta in zip(estimates, dfs, deltas, strict=True)], members
    )

    judgements = []
    for e, df, delta, p, outside, reason in zip(
        estimates, dfs, deltas, adjusted, equivalence, reasons, strict=True
    ):
        low, high = interval(e, df, share)
        why = reason or why_no_verdict(e, cluster)
        seeds, clusters = _needed(e, delta, share)
        judgements.append(
            Judgement(
                verdict=_verdict(e.gain, p, outside, alpha) if not why else Verdict.NO_VERDICT,
                reason=why,
                df=e.df,
                interval=interval(e, e.df, INTERVAL_ALPHA),
                p_value=p_value(e, e.df),
                adjusted_df=df,
                adjusted_p_value=p,
                adjusted_interval=(low, high),
                material=not why and (low > delta or high < -delta),
                equivalent=not why and outside <= alpha,
                equivalence_p=outside,
                minimum_detectable_effect=minimum_detectable_effect(e.se, df, share),
                seeds_needed=seeds,
                clusters_needed=clusters,
            )
        )
    return judgements


def adjusted_df(df: float, seeds: int, level: float) -> float:
    """Return the degrees of freedom for a level as small as alpha/M: Satterthwaite's, bounded far out.

    With fewer than 10 seeds, or below .05/20, they are at most S - 1. With 10 to 14 seeds, below .05, they
    are at most 1.5 (S - 1): unbounded, a family of 12 at .05 with 10 seeds has a false call in 6.2 % of cases
    at the worst mixture of noise, a family of 20 in 6.9 %, where 6 % is allowed; bounded, in 5.7 % and 5.9 %
    (a million families each).

    Satterthwaite's value is kept where it is below the bound, or an adjusted p-value could be below the
    unadjusted one.
    """
    if seeds < FAR_TAIL_SEEDS or level < FAR_TAIL_LEVEL:
        return min(df, float(seeds - 1))
    if seeds < FAR_TAIL_SURE and level < INTERVAL_ALPHA:
        return min(df, FAR_TAIL_SHARE * (seeds - 1))
    return df


def why_no_verdict(estimate: Estimate, cluster: str = "cluster") -> str:
    """Return why an estimate cannot have a verdict; empty if it can.

    A gain whose estimated error is exactly 0 gets none: the noise was not zero, it was not seen. (If the gain
    is 0 too, as between identical arms, they are equivalent.)
    """
    if math.isnan(estimate.gain):
        return "the metric is undefined"
    if estimate.seeds < MIN_SEEDS:
        return (
            f"{_count(estimate.seeds, 'paired seed')}, at least {MIN_SEEDS} are needed to tell a gain "
            "from the noise of training"
        )
    if estimate.clusters < MIN_CLUSTERS:
        return (
            f"{_count(estimate.clusters, cluster)} in the test rows, at least {MIN_CLUSTERS} are needed to "
            "tell a gain from chance in who is tested"
        )
    if estimate.informative is not None and estimate.informative < MIN_CLUSTERS:
        return (
            f"the metric rests on {_count(estimate.informative, cluster)} (of those with a positive row and "
            f"those with a negative one, the fewer), at least {MIN_CLUSTERS} are needed"
        )
    if estimate.se == 0 and estimate.gain != 0:
        return f"the gain is the same in every seed and {cluster}, so its error cannot be estimated"
    return ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _verdict(gain: float, p: float, outside: float, alpha: float) -> Verdict:
    if p <= alpha:
        return Verdict.NEGATIVE if gain < 0 else Verdict.POSITIVE
    return Verdict.EQUIVALENT if outside <= alpha else Verdict.INCONCLUSIVE


def _holm_of_defined(p_values: Sequence[float], members: int) -> list[float]:
    """Apply Holm to the whole family; members without a p-value keep NaN but count towards its size."""
    defined = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    values = holm([p_values[i] for i in defined], members=members)
    for i, value in zip(defined, values, strict=True):
        adjusted[i] = float(value)
    return adjusted


def _needed(estimate: Estimate, delta: float, share: float) -> tuple[int | None, int | None]:
    """Return the seeds, and the clusters, needed to detect delta at two-sided `share`.

    If delta is detectable already, return those needed to detect the measured gain: it lies between 0 and
    delta, too large to be called equivalent and too small to be called.
    """
    if not estimate.se > 0:
        return None, None

    def degrees(expected: Estimate) -> float:
        return adjusted_df(expected.df, expected.seeds, share)

    if minimum_detectable_effect(estimate.se, degrees(estimate), share) <= delta:
        delta = min(delta, abs(estimate.gain)) or delta
    return (
        seeds_needed(estimate, delta, share, degrees, least=MIN_SEEDS),
        clusters_needed(estimate, delta, share, degrees, least=MIN_CLUSTERS),
    )
