"""The crossed model that the simulated checks draw from: scores, or a table's variance components.

Scores. Users have unequal numbers of rows, under Zipf's law very unequal ones; a row has a signal x and a
nuisance v, and its label is an event with log odds (an intercept) + x + (a shift of its user). The score of
arm m with seed s is

    (1 + a_ms + c_mu) x + v + r e_msi,

where a_ms is how well seed s learned the signal, c_mu how well the arm reads user u, and e noise drawn for
each row; all are normal. If both arms have the same c, they are one method with different seeds (A/A). If
each has its own c, drawn from one distribution, they differ for every user, and the gain over all users that
could have been drawn is exactly 0.

Components. The grand mean and the mean squares of a normal table d[u, s] are independent, each mean square a
multiple of a chi-squared variable, so drawing them is drawing the table (Cochran's theorem).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.statistics.influence import auc_influence
from mtlbench.statistics.variance import Estimate

MEAN_ROWS = 8
"""Mean number of rows of a user, geometric from 1 on: many users have one row and some have fifty."""
USUAL_INTERCEPT = -1.0
"""Intercept at which three rows in ten have an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreModel:
    """Sizes, and standard deviations of the components of scores.

    Attributes:
        seeds: number of seeds of each arm.
        users: number of users in the test rows.
        seed: standard deviation of a, the effect of a seed.
        user: standard deviation of c, the effect of a user on an arm.
        residual: r, the standard deviation of the noise of a row.
        same_users: whether both arms have the same c.
        intercept: log odds of an event at x = 0, for a user without a shift.
        zipf: exponent of Zipf's law, by which a user's rows fall with the user's rank; 0: geometric instead.
            The mean stays about `MEAN_ROWS`.
    """

    seeds: int
    users: int = 150
    seed: float
    user: float
    residual: float = 0.3
    same_users: bool = False
    intercept: float = USUAL_INTERCEPT
    zipf: float = 0.0

    def rows(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw (users,) how many rows each user has, at least one."""
        if not self.zipf:
            return rng.geometric(1 / MEAN_ROWS, self.users)
        share = np.arange(1, self.users + 1) ** -self.zipf
        rows: NDArray[np.int64] = np.ceil(MEAN_ROWS * self.users * share / share.sum()).astype(np.int64)
        return rows


@dataclass(frozen=True, slots=True)
class Simulated:
    """Labels and the scores of two arms: label and index (rows,), scores (arm, seed, rows)."""

    label: NDArray[np.bool_]
    index: NDArray[np.intp]
    scores: NDArray[np.float64]


def simulate(model: ScoreModel, rng: np.random.Generator) -> Simulated:
    """Draw new users, new seeds and new scores."""
    index = np.repeat(np.arange(model.users), model.rows(rng))
    x, v = rng.standard_normal((2, len(index)))
    shift = 0.5 * rng.standard_normal(model.users)
    label = rng.random(len(index)) < 1 / (1 + np.exp(-model.intercept - x - shift[index]))
    a = model.seed * rng.standard_normal((2, model.seeds, 1))
    c = model.user * rng.standard_normal((1 if model.same_users else 2, 1, model.users))
    noise = rng.standard_normal((2, model.seeds, len(index)))
    return Simulated(label, index, (1 + a + c[..., index]) * x + v + model.residual * noise)


def auc_contrasts(drawn: Simulated) -> NDArray[np.float64]:
    """Return (users, seeds) contrasts of the AUC, by the influences that `compare` uses."""
    users = int(drawn.index[-1]) + 1
    influences = [
        [auc_influence(drawn.label, score, drawn.index, users) for score in arm] for arm in drawn.scores
    ]
    contrasts: NDArray[np.float64] = np.subtract(influences[0], influences[1]).T
    return contrasts


@dataclass(frozen=True, slots=True)
class Shares:
    """Components of the variance of the mean of a table, in any unit.

    Attributes:
        seed: s_a^2 / S.
        user: s_b^2 / U.
        residual: s_e^2 / (S U).
    """

    seed: float
    user: float
    residual: float

    def __str__(self) -> str:
        return f"{self.seed:.2g} : {self.user:.2g} : {self.residual:.2g}"


def draw_estimates(
    shares: Shares, seeds: int, users: int, number: int, rng: np.random.Generator
) -> Sequence[Estimate]:
    """Draw `number` estimates of a gain that is 0, as `two_way` would make them of normal tables."""
    degrees = (seeds - 1, users - 1, (seeds - 1) * (users - 1))
    expected = (shares.seed + shares.residual, shares.user + shares.residual, shares.residual)
    gains = np.sqrt(shares.seed + shares.user + shares.residual) * rng.standard_normal(number)
    components = [e * rng.chisquare(k, number) / k for e, k in zip(expected, degrees, strict=True)]
    return [
        Estimate(gain, a, b, c, seeds, users)
        for gain, a, b, c in zip(*(column.tolist() for column in (gains, *components)), strict=True)
    ]
