"""The verdict's rules, one by one, and the error rate of whole families."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mtlbench.statistics.equivalence import tost
from mtlbench.statistics.multiplicity import holm
from mtlbench.statistics.variance import Estimate, interval, p_value, two_way
from mtlbench.statistics.verdict import Judgement, Verdict, adjusted_df, judge
from tests.statistics.simulate import table

SURE = Estimate(gain=0.01, seed=1e-8, user=3e-8, residual=1e-8, seeds=10, clusters=500)
"""SE about .00017: a gain of .01 is beyond doubt, against a delta of .001."""


def one(estimate: Estimate, delta: float = 0.001, alpha: float = 0.05) -> Judgement:
    return judge([estimate], [delta], alpha=alpha)[0]


def test_a_sure_gain_is_positive_and_material_a_sure_loss_negative() -> None:
    up, down = one(SURE), one(replace(SURE, gain=-0.01))
    assert (up.verdict, up.material, up.equivalent) == (Verdict.POSITIVE, True, False)
    assert (down.verdict, down.material, down.equivalent) == (Verdict.NEGATIVE, True, False)


def test_a_sure_loss_within_delta_is_negative_and_negligible() -> None:
    judged = one(replace(SURE, gain=-0.003), delta=0.01)
    assert (judged.verdict, judged.material, judged.equivalent) == (Verdict.NEGATIVE, False, True)


def test_no_gain_seen_sharply_is_equivalent_seen_dimly_inconclusive() -> None:
    assert one(replace(SURE, gain=0.0001)).verdict is Verdict.EQUIVALENT
    dim = one(Estimate(gain=0.0001, seed=1e-5, user=3e-5, residual=1e-5, seeds=10, clusters=500))
    assert (dim.verdict, dim.material, dim.equivalent) == (Verdict.INCONCLUSIVE, False, False)


@pytest.mark.parametrize(
    ("estimate", "reason"),
    [
        (replace(SURE, seeds=4), "4 paired seed"),
        (replace(SURE, clusters=29), "29 user"),
        (replace(SURE, informative=12), "rests on 12 users"),
        (Estimate(math.nan, math.nan, math.nan, math.nan, 10, 500), "undefined"),
        (Estimate(0.1, 0.0, 0.0, 0.0, 10, 500), "error cannot be estimated"),
        (Estimate(0.1, math.nan, math.nan, math.nan, 1, 500), "1 paired seed"),
    ],
)
def test_too_little_to_go_by_gets_no_verdict_but_a_reason(estimate: Estimate, reason: str) -> None:
    judged = judge([estimate], [0.001], cluster="user")[0]
    assert judged.verdict is Verdict.NO_VERDICT
    assert reason in judged.reason
    assert not judged.material
    assert not judged.equivalent


def test_the_limits_themselves_are_enough() -> None:
    assert one(replace(SURE, seeds=5, clusters=30)).verdict is Verdict.POSITIVE


def test_the_callers_reason_stands() -> None:
    judged = judge([SURE], [0.001], reasons=["no baseline"])[0]
    assert (judged.verdict, judged.reason) == (Verdict.NO_VERDICT, "no baseline")


def test_identical_arms_are_equivalent() -> None:
    judged = one(two_way(np.zeros((40, 5))))
    assert judged.verdict is Verdict.EQUIVALENT
    assert (judged.p_value, judged.adjusted_p_value, judged.equivalence_p) == (1.0, 1.0, 0.0)
    assert judged.minimum_detectable_effect == 0.0


def family(seed: int, size: int, seeds: int) -> list[Estimate]:
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 0.4, size)
    return [two_way(s + table(rng, 60, seeds, 0.2, 1.0, 1.0)) for s in shift]


@pytest.mark.parametrize(
    ("size", "seeds", "most"),
    [(4, 15, math.inf), (4, 10, 1.5 * 9), (4, 5, 4), (21, 15, 14)],
)
def test_the_holm_step_and_its_tails(size: int, seeds: int, most: float) -> None:
    estimates = family(0, size, seeds)
    judged = judge(estimates, [0.5] * size)
    dfs = [min(e.df, most) for e in estimates]
    assert any(df != e.df for df, e in zip(dfs, estimates, strict=True)) is (most < math.inf)
    expected = holm([p_value(e, df) for e, df in zip(estimates, dfs, strict=True)])
    np.testing.assert_allclose([j.adjusted_p_value for j in judged], expected)
    outside = holm([tost(e, df, 0.5) for e, df in zip(estimates, dfs, strict=True)])
    np.testing.assert_allclose([j.equivalence_p for j in judged], outside)
    for e, df, j in zip(estimates, dfs, judged, strict=True):
        assert j.p_value == p_value(e, e.df)
        assert j.interval == interval(e, e.df, 0.05)
        assert j.adjusted_interval == interval(e, df, 0.05 / size)
        assert j.equivalent == (j.equivalence_p <= 0.05)
        assert j.adjusted_p_value >= j.p_value
        assert (j.verdict in (Verdict.POSITIVE, Verdict.NEGATIVE)) == (j.adjusted_p_value <= 0.05)


def test_adjusted_degrees_of_freedom_are_never_more_lenient() -> None:
    assert adjusted_df(400.0, seeds=10, level=0.05 / 1) == 400.0
    assert adjusted_df(400.0, seeds=10, level=0.05 / 2) == 13.5
    assert adjusted_df(400.0, seeds=10, level=0.05 / 20) == 13.5
    assert adjusted_df(400.0, seeds=15, level=0.05 / 20) == 400.0
    assert adjusted_df(400.0, seeds=9, level=0.05 / 1) == 8.0
    assert adjusted_df(400.0, seeds=10, level=0.05 / 21) == 9.0
    assert adjusted_df(3.5, seeds=5, level=0.05 / 4) == 3.5


def test_the_same_level_has_the_same_degrees_of_freedom_whatever_the_family() -> None:
    """One comparison at .0025 looks as far out as one of twenty at .05."""
    alone, of_many = judge(family(1, 1, 10), [0.5], alpha=0.0025), judge(family(1, 1, 10), [0.5], members=20)
    assert alone[0].adjusted_df == of_many[0].adjusted_df
    farther = judge(family(1, 1, 10), [0.5], alpha=0.001)
    assert farther[0].adjusted_df == min(farther[0].df, 9.0)


def test_the_interval_is_95_percent_whatever_alpha() -> None:
    assert one(SURE, alpha=0.2).interval == one(SURE, alpha=0.01).interval
    assert one(SURE, alpha=0.2).adjusted_interval != one(SURE, alpha=0.01).adjusted_interval


def test_members_without_a_p_value_still_count_in_the_family() -> None:
    nothing = Estimate(math.nan, math.nan, math.nan, math.nan, 10, 500)
    weak = replace(SURE, gain=0.0004, seeds=15)  # so many that a family has the same tails
    alone, beside = one(weak), judge([weak, nothing, nothing], [0.001] * 3)[0]
    assert beside.adjusted_p_value == pytest.approx(3 * alone.adjusted_p_value)
    assert math.isnan(judge([weak, nothing], [0.001] * 2)[1].adjusted_p_value)


@pytest.mark.parametrize("seeds", [5, 10])
def test_swapping_the_arms_mirrors_the_verdicts_exactly(seeds: int) -> None:
    estimates = family(1, 6, seeds)
    deltas = [0.1, 0.3, 0.5, 0.7, 0.9, 1.1]
    mirror = {Verdict.POSITIVE: Verdict.NEGATIVE, Verdict.NEGATIVE: Verdict.POSITIVE}
    swapped = judge([replace(e, gain=-e.gain) for e in estimates], deltas)
    for j, s in zip(judge(estimates, deltas), swapped, strict=True):
        assert s == replace(
            j,
            verdict=mirror.get(j.verdict, j.verdict),
            interval=(-j.interval[1], -j.interval[0]),
            adjusted_interval=(-j.adjusted_interval[1], -j.adjusted_interval[0]),
        )


def test_the_sizes_needed_know_the_tails() -> None:
    """A family of 4: from the fifteenth seed on Satterthwaite's degrees of freedom count, unbounded."""
    e = Estimate(gain=0.0, seed=1e-7, user=6e-7, residual=1e-8, seeds=5, clusters=500)
    judged = judge([e] * 4, [0.0027] * 4)[0]
    assert judged.seeds_needed == 15
    assert judged.minimum_detectable_effect > 0.0027
    assert one(SURE, delta=1.0).seeds_needed == 5
    assert one(SURE, delta=1.0).clusters_needed == 30


def test_a_gain_between_0_and_delta_needs_more_than_there_is() -> None:
    """Delta could be seen, but the gain is half of it: neither called nor shown to be smaller than delta."""
    e = Estimate(gain=0.0005, seed=3e-8, user=1.8e-8, residual=6e-9, seeds=15, clusters=1000)
    judged = judge([e] * 12, [0.001] * 12)[0]
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.minimum_detectable_effect < 0.001
    assert judged.seeds_needed is not None
    assert judged.seeds_needed > 15


def test_members_that_are_not_here_count_in_the_family() -> None:
    here = family(2, 4, 10)
    alone, more = judge(here, [0.5] * 4), judge(here, [0.5] * 4, members=12)
    for a, b in zip(alone, more, strict=True):
        assert b.adjusted_p_value >= a.adjusted_p_value
    assert more[0].adjusted_interval == interval(here[0], adjusted_df(here[0].df, 10, 0.05 / 12), 0.05 / 12)


def test_an_empty_family_is_judged() -> None:
    assert judge([], []) == []


def family_error(replicates: int, size: int, seeds: int, s_a: float, clusters: int = 50) -> float:
    """Share of families, no member of which differs, in which the parts of `judge` call anything."""
    rng = np.random.default_rng(11)
    called = 0
    for _ in range(replicates):
        estimates = [two_way(table(rng, clusters, seeds, s_a, 1.0, 1.0)) for _ in range(size)]
        called += holm([p_value(e, adjusted_df(e.df, seeds, 0.05 / size)) for e in estimates]).min() <= 0.05
    return float(called / replicates)


def test_a_family_without_differences_is_called_at_most_at_alpha() -> None:
    """400 replicates: 3 standard errors above .05 are .083."""
    assert family_error(400, size=4, seeds=10, s_a=0.2) <= 0.083


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 12, 40])
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("s_a", [0.05, 0.2, 1.0])
def test_the_error_rate_of_families_over_a_grid(size: int, seeds: int, s_a: float) -> None:
    """Acceptance test A2: any call at most .06. Seen with 2,000 replicates: .0565 at the most."""
    assert family_error(2000, size, seeds, s_a) <= 0.06
