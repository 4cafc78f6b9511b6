"""TOST against statsmodels, its symmetry, and identical arms."""

import math

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from mtlbench.statistics.equivalence import tost
from mtlbench.statistics.variance import Estimate, interval, two_way


@pytest.mark.parametrize("delta", [0.1, 0.5, 2.0])
def test_equals_statsmodels_on_seed_means(delta: float) -> None:
    gains = np.array([0.2, 0.5, -0.1, 0.4, 0.3, 0.0])
    e = two_way(np.tile(gains, (10, 1)))
    expected = DescrStatsW(gains).ttost_mean(-delta, delta)[0]
    assert tost(e, e.df, delta) == pytest.approx(expected, rel=1e-9)


def test_equivalent_at_alpha_is_the_1_minus_2_alpha_interval_inside_delta() -> None:
    e = Estimate(gain=0.4, seed=0.01, user=0.02, residual=0.005, seeds=10, clusters=100)
    high = interval(e, e.df, 2 * 0.05)[1]
    assert tost(e, e.df, high) == pytest.approx(0.05)
    assert tost(e, e.df, high * 1.01) < 0.05 < tost(e, e.df, high * 0.99)


def test_the_sign_of_the_gain_does_not_matter() -> None:
    components = {"seed": 0.01, "user": 0.02, "residual": 0.005, "seeds": 10, "clusters": 100}
    up, down = (Estimate(gain=g, **components) for g in (0.4, -0.4))  # type: ignore[arg-type]
    assert tost(up, up.df, 0.5) == tost(down, down.df, 0.5)


def test_identical_arms_are_equivalent_and_unknown_noise_is_not() -> None:
    assert tost(Estimate(0.0, 0.0, 0.0, 0.0, 5, 40), 4.0, 1e-9) == 0.0
    assert math.isnan(tost(Estimate(0.1, 0.0, 0.0, 0.0, 5, 40), 4.0, 1.0))
