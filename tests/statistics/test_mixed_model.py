"""Variance components against an independent fit: statsmodels' mixed model with crossed random effects.

In a balanced table REML and the mean squares give the same components wherever all of them are positive
(Searle, Casella and McCulloch, Variance Components, 1992, chapter 4), so two programs that share no line must
agree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from statsmodels.regression.mixed_linear_model import MixedLM

from mtlbench.statistics.variance import Estimate, two_way
from tests.statistics.simulate import table

TABLES = [(0, 12, 5, 1.0, 1.0), (1, 30, 5, 0.5, 2.0), (2, 20, 10, 2.0, 0.7), (3, 15, 3, 1.0, 1.5)]
"""Draw, clusters, seeds, s_a, s_b, with s_e = 1: all components come out positive."""
CLOSE = 1e-4
"""Where the peer's optimiser stops."""


@dataclass(frozen=True)
class Fit:
    """What REML finds: the mean, its error, and the three variances."""

    gain: float
    se: float
    seed: float
    user: float
    residual: float


def reml(d: NDArray[np.float64]) -> Fit:
    """Fit `d[u, s] = g + a_s + b_u + e_us` to a (clusters, seeds) table."""
    user, seed = (index.ravel() for index in np.indices(d.shape))
    rows = pd.DataFrame({"d": d.ravel(), "user": user, "seed": seed})
    model = MixedLM.from_formula(
        "d ~ 1",
        rows,
        groups=np.ones(len(rows)),  # one group: the effects are crossed, not nested
        vc_formula={"seed": "0 + C(seed)", "user": "0 + C(user)"},
        re_formula="0",
    )
    fitted = model.fit(reml=True, method="bfgs", gtol=1e-6)
    variances = dict(zip(model.exog_vc.names, fitted.vcomp, strict=True))
    return Fit(
        gain=float(fitted.fe_params.iloc[0]),
        se=float(fitted.bse_fe.iloc[0]),
        seed=float(variances["seed"]),
        user=float(variances["user"]),
        residual=float(fitted.scale),
    )


@pytest.mark.parametrize(("draw", "clusters", "seeds", "s_a", "s_b"), TABLES)
def test_gain_components_and_error_equal_reml(
    draw: int, clusters: int, seeds: int, s_a: float, s_b: float
) -> None:
    d = 0.3 + table(np.random.default_rng(draw), clusters, seeds, s_a, s_b, 1.0)
    e, fit = two_way(d), reml(d)
    assert min(fit.seed, fit.user, fit.residual) > 0.01  # else REML stops at 0 and the two differ
    assert e.gain == pytest.approx(fit.gain, rel=CLOSE)
    assert e.residual * seeds * clusters == pytest.approx(fit.residual, rel=CLOSE)
    assert (e.seed - e.residual) * seeds == pytest.approx(fit.seed, rel=CLOSE)
    assert (e.user - e.residual) * clusters == pytest.approx(fit.user, rel=CLOSE)
    assert e.se == pytest.approx(fit.se, rel=CLOSE)


def without_the_residual(e: Estimate) -> float:
    """A + B, which counts the residual twice."""
    return math.sqrt(e.seed + e.user)


def seeds_alone(e: Estimate) -> float:
    """The paired t over seeds."""
    return math.sqrt(e.seed)


def users_alone(e: Estimate) -> float:
    """The bootstrap over users."""
    return math.sqrt(e.user)


@pytest.mark.parametrize("wrong", [without_the_residual, seeds_alone, users_alone])
def test_an_error_that_leaves_a_term_out_would_be_found(wrong: Callable[[Estimate], float]) -> None:
    """The comparison with REML has teeth: no such estimator passes it on any of the tables."""
    for draw, clusters, seeds, s_a, s_b in TABLES:
        d = table(np.random.default_rng(draw), clusters, seeds, s_a, s_b, 1.0)
        assert wrong(two_way(d)) != pytest.approx(reml(d).se, rel=CLOSE)
