"""The detectable effect against simulated power, and the sizes that reach it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from mtlbench.statistics.power import (
    clusters_needed,
    forecast,
    minimum_detectable_effect,
    power,
    seeds_needed,
    upper_bound,
)
from mtlbench.statistics.variance import Estimate, p_value, two_way
from tests.statistics.simulate import table


def satterthwaite(estimate: Estimate) -> float:
    return estimate.df


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12, 0.05 / 40])
@pytest.mark.parametrize("seeds", [5, 10, 200])
def test_power_equals_statsmodels(alpha: float, seeds: int) -> None:
    """Of a paired t test; an effect of d standard deviations is d sqrt(n) standard errors."""
    peer = TTestPower().power(3.5 / math.sqrt(seeds), seeds, alpha, alternative="two-sided")
    assert power(3.5, 1.0, seeds - 1, alpha) == pytest.approx(peer, abs=1e-6)


@pytest.mark.parametrize("df", [1.0, 3.7, 9.0, 1e3, 1e7])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 40])
def test_the_detectable_effect_has_power_80(df: float, alpha: float) -> None:
    effect = minimum_detectable_effect(0.02, df, alpha)
    assert power(effect, 0.02, df, alpha) == pytest.approx(0.80, abs=1e-6)
    assert minimum_detectable_effect(0.04, df, alpha) == pytest.approx(2 * effect)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
@pytest.mark.parametrize("seeds", [5, 10, 50])
def test_the_detectable_effect_equals_statsmodels(alpha: float, seeds: int) -> None:
    """Of a paired t test, in standard deviations. The peer also counts calls of the wrong sign."""
    peer = TTestPower().solve_power(nobs=seeds, alpha=alpha, power=0.80, alternative="two-sided")
    effect = minimum_detectable_effect(1 / math.sqrt(seeds), seeds - 1, alpha)
    assert effect == pytest.approx(peer, rel=1e-5)


def test_the_detectable_effect_with_many_degrees_of_freedom_is_the_textbooks() -> None:
    """(1.960 + 0.8416) standard errors."""
    assert minimum_detectable_effect(1.0, 1e8, 0.05) == pytest.approx(2.8016, abs=1e-4)


@pytest.mark.parametrize(("s_a", "s_b"), [(1.0, 0.0), (0.3, 1.0), (0.1, 2.0)])
def test_simulated_power_at_the_detectable_effect_is_80(s_a: float, s_b: float) -> None:
    """With the true components; estimating them, Satterthwaite's t is right to a few hundredths."""
    clusters, seeds, s_e = 60, 10, 1.0
    residual = s_e**2 / (seeds * clusters)
    truth = Estimate(0.0, s_a**2 / seeds + residual, s_b**2 / clusters + residual, residual, seeds, clusters)
    effect = minimum_detectable_effect(truth.se, truth.df, 0.05)
    rng = np.random.default_rng(3)
    estimates = [two_way(effect + table(rng, clusters, seeds, s_a, s_b, s_e)) for _ in range(1000)]
    called = np.mean([e.gain > 0 and p_value(e, e.df) <= 0.05 for e in estimates])
    assert called == pytest.approx(0.80, abs=0.045)


def test_without_error_everything_is_detectable_and_without_degrees_nothing_is_known() -> None:
    assert minimum_detectable_effect(0.0, 4.0, 0.05) == 0.0
    assert math.isnan(minimum_detectable_effect(math.nan, 4.0, 0.05))
    assert math.isnan(minimum_detectable_effect(1.0, math.nan, 0.05))
    assert math.isnan(minimum_detectable_effect(1.0, 0.05, 0.05 / 40))


@pytest.mark.parametrize("df", [4.0, 7.3, 9.0, 30.0, 1e3, 1e6])
def test_a_huge_effect_is_certain(df: float) -> None:
    """Here and there on this grid scipy's noncentral t is NaN."""
    for effect in [*np.linspace(40, 80, 161), 1e3, 1e6]:
        assert power(effect, 1.0, df, 0.05 / 40) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_the_fewest_seeds_are_enough_and_one_less_is_not(delta: float) -> None:
    e = Estimate(gain=0.0, seed=0.5, user=0.02, residual=0.01, seeds=5, clusters=100)
    seeds = seeds_needed(e, delta, 0.05, satterthwaite)
    assert seeds is not None
    for number, enough in ((seeds, True), (seeds - 1, False)):
        expected = e.resized(number, 100)
        assert (power(delta, expected.se, expected.df, 0.05) >= 0.80) is enough


def test_no_number_is_enough_where_the_other_noise_is_too_large() -> None:
    """Infinitely many seeds leave the users' noise, infinitely many users the seeds'."""
    users = Estimate(gain=0.0, seed=0.02, user=0.5, residual=0.01, seeds=5, clusters=100)
    assert seeds_needed(users, 1.0, 0.05, satterthwaite) is None
    assert clusters_needed(users, 1.0, 0.05, satterthwaite) is not None
    seeds = Estimate(gain=0.0, seed=0.5, user=0.02, residual=0.01, seeds=5, clusters=100)
    assert clusters_needed(seeds, 1.0, 0.05, satterthwaite) is None


def test_the_least_number_is_not_undercut() -> None:
    e = Estimate(gain=0.0, seed=1e-6, user=1e-6, residual=1e-7, seeds=5, clusters=100)
    assert seeds_needed(e, 1.0, 0.05, satterthwaite, least=5) == 5
    assert clusters_needed(e, 1.0, 0.05, satterthwaite, least=30) == 30


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_bound_of_the_seed_variance_covers_as_often_as_it_says(seeds: int) -> None:
    """E[A] lies below the bound in 80 % of pilots, to .015; 20,000 of them know it to .003."""
    rng = np.random.default_rng(5)
    clusters, s_a, s_e, pilots = 50, 0.3, 1.0, 20_000
    truth = s_a**2 / seeds + s_e**2 / (seeds * clusters)
    seed_means = s_a * rng.standard_normal((pilots, seeds))
    seed_means += s_e / math.sqrt(clusters) * rng.standard_normal((pilots, seeds))
    a = seed_means.var(axis=1, ddof=1) / seeds
    covered = np.mean([truth <= upper_bound(x, seeds - 1) for x in a])
    assert covered == pytest.approx(0.80, abs=0.015)


def test_the_bound_covers_through_whole_tables_too() -> None:
    """The same A as `two_way` finds it, and the seeds' own share after C is taken off: 2,000 pilots."""
    rng = np.random.default_rng(6)
    clusters, seeds, s_a, s_b, s_e = 40, 5, 0.3, 0.5, 1.0
    pilots = [two_way(table(rng, clusters, seeds, s_a, s_b, s_e)) for _ in range(2000)]
    bounds = [upper_bound(e.seed, seeds - 1) - e.residual for e in pilots]
    assert np.mean([s_a**2 / seeds <= bound for bound in bounds]) == pytest.approx(0.80, abs=0.03)


def test_with_five_seeds_the_bound_is_2_4_times_the_estimate() -> None:
    """4 / 1.649, the lower fifth of chi-squared with 4 degrees of freedom."""
    assert upper_bound(1.0, 4) == pytest.approx(2.426, abs=1e-3)
    assert upper_bound(0.0, 4) == 0.0


PILOT = Estimate(gain=0.3, seed=0.5, user=0.02, residual=0.01, seeds=5, clusters=100)


def test_a_forecast_is_the_test_to_come_with_the_seeds_variance_at_its_bound() -> None:
    seen = forecast(PILOT, 10, 1.0, 0.05, satterthwaite)
    bound = upper_bound(0.5, 4)
    se = math.sqrt((bound - 0.01) * 5 / 10 + (0.02 - 0.01) + 0.01 * 5 / 10)
    assert seen.estimate.se == pytest.approx(se)
    assert (seen.estimate.seeds, seen.estimate.clusters) == (10, 100)
    assert seen.minimum_detectable_effect == minimum_detectable_effect(se, seen.df, 0.05)
    assert seen.seeds_needed is not None
    assert forecast(PILOT, seen.seeds_needed, 1.0, 0.05, satterthwaite).minimum_detectable_effect <= 1.0
    assert forecast(PILOT, seen.seeds_needed - 1, 1.0, 0.05, satterthwaite).minimum_detectable_effect > 1.0


def test_a_forecast_is_blind_to_the_gain() -> None:
    """Whatever the pilot gained, the same comes out, and no gain with it."""
    one, other = (forecast(replace(PILOT, gain=g), 10, 1.0, 0.05, satterthwaite) for g in (0.3, -7.0))
    assert math.isnan(one.estimate.gain)
    assert math.isnan(other.estimate.gain)
    assert replace(one, estimate=PILOT) == replace(other, estimate=PILOT)
    assert one.estimate.se == other.estimate.se


def test_the_clusters_needed_are_those_with_the_seeds_to_come() -> None:
    pilot = replace(PILOT, seed=0.02, user=0.5)
    few, many = (forecast(pilot, seeds, 1.0, 0.05, satterthwaite).clusters_needed for seeds in (5, 20))
    assert few is not None
    assert many is not None
    assert many < few


@pytest.mark.slow
def test_four_plans_in_five_are_no_less_careful_than_the_truth() -> None:
    """With seed noise alone the plan's effect is above the true one exactly as often as its bound covers."""
    rng = np.random.default_rng(8)
    clusters, seeds = 30, 5
    truth = minimum_detectable_effect(1 / math.sqrt(10), 9.0, 0.05)
    pilots = [two_way(table(rng, clusters, seeds, 1.0, 0.0, 1e-6)) for _ in range(4000)]
    plans = [forecast(e, 10, 1.0, 0.05, lambda _: 9.0).minimum_detectable_effect for e in pilots]
    assert np.mean([effect >= truth for effect in plans]) == pytest.approx(0.80, abs=0.02)
