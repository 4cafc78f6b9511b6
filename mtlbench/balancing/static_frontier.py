"""The fixed-weight frontier: a grid of static weights, which any balancer has to beat.

A method that sets loss weights, or mixes task gradients, helps only if it does better than static weights
chosen on validation; compared with equal weights alone, much of its published gain is just a change of
weights. Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning", NeurIPS 2022;
Xin et al., "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?", NeurIPS 2022; Royer et
al., "Scalarization for Multi-Task and Multi-Domain Learning at Scale", NeurIPS 2023.

One arm stands for a grid of points, each run with every seed, and with a few more to choose the best point:

    two tasks           w = 2 (a, 1 - a) for each a in `alphas`
    K tasks, K > 2      w = K p for each of `points` draws p ~ Dirichlet(1, ..., 1)

Weights sum to K, so that equal weights are 1 per task and a learning rate means the same at every point. A
run stores its own weights but not the grid: the same weights are the same run in any grid, and a grid that
grows trains only its new points. `compare.frontier` gathers the points again, and explains why the choice
needs separate seeds. If every task has its own model there is nothing to weight, and the arm is the same as
with `equal`.

Pitfalls: many runs, points times seeds. The best of many points owes part of its lead to luck, which is why
tuning seeds choose it and others judge it; with few of them the choice is noise. With three tasks or more,
no affordable number of draws covers the weights well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtlbench.balancing.static import Static, StaticConfig
from mtlbench.errors import UsageError

DIGITS = 6
"""Decimal places to which weights are rounded, so that a run's identity is the same on every machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierGrid:
    """The points of the grid.

    Attributes:
        alphas: for two tasks, shares of the weight that the first task gets, each strictly between 0 and 1.
        points: for three tasks or more, number of sets of weights drawn.
        seed: seed of these draws.
        tuning_seeds: number of extra seeds that each point is trained with, only to choose among the points.
    """

    alphas: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
    points: int = 32
    seed: int = 0
    tuning_seeds: int = 3

    def __post_init__(self) -> None:
        if not self.alphas or len(set(self.alphas)) < len(self.alphas):
            raise ValueError(f"alphas = {list(self.alphas)}; different shares, at least one")
        if not all(0 < alpha < 1 for alpha in self.alphas):
            raise ValueError(f"alphas = {list(self.alphas)}; each above 0 and below 1")
        if self.points < 1 or self.seed < 0:
            raise ValueError(f"points = {self.points}, seed = {self.seed}; at least 1 point, seed 0 or more")
        if self.tuning_seeds < 1:
            raise ValueError(f"tuning_seeds = {self.tuning_seeds}; at least 1, or nothing can be chosen")


class StaticFrontier(Static):
    """One point of the frontier: w_k as given; `points` makes the grid."""

    Grid = FrontierGrid
    revision = 1
    """Lower than in `Static`, whose revision 2 changed only runs with one task, which a frontier refuses."""

    @classmethod
    def points(cls, tasks: Sequence[str], grid: FrontierGrid) -> list[StaticConfig]:
        """Return the weights of every point.

        Raises:
            UsageError: there is only one task, so nothing to weight; or options of the other kind of grid.
        """
        usual = FrontierGrid()
        if len(tasks) < 2:
            raise UsageError(
                f"A frontier of weights needs two tasks; there is {', '.join(tasks) or 'none'}. Leave "
                "static-frontier away, or learn more tasks (`tasks` in the benchmark file, --task)."
            )
        if len(tasks) == 2:
            if (grid.points, grid.seed) != (usual.points, usual.seed):
                raise UsageError(
                    "static-frontier: `points` and `seed` are for three tasks and more; with the two tasks "
                    f"{' and '.join(tasks)} give `alphas`, e.g. alphas = [0.2, 0.5, 0.8]."
                )
            shares = np.stack([grid.alphas, 1 - np.asarray(grid.alphas)], axis=1)
        else:
            if grid.alphas != usual.alphas:
                raise UsageError(
                    f"static-frontier: `alphas` is for two tasks; with {len(tasks)} give `points`, e.g. "
                    "points = 32."
                )
            shares = _dirichlet(grid.points, len(tasks), grid.seed)
        weights = np.round(len(tasks) * shares, DIGITS).tolist()
        return [StaticConfig(weights=dict(zip(tasks, row, strict=True))) for row in weights]


def _dirichlet(points: int, tasks: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Draw Dirichlet(1, ..., 1), (point, task): the gaps between sorted uniform numbers.

    A larger number of points starts with the same draws. Source: Devroye, "Non-Uniform Random Variate
    Generation", 1986, section V.2.
    """
    cuts = np.sort(np.random.default_rng(seed).random((points, tasks - 1)), axis=1)
    gaps: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.diff(cuts, prepend=0.0, append=1.0)
    return gaps
