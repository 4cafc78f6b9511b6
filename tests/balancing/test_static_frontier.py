"""The grid of weights: which points, on which scale, and what is refused."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mtlbench.balancing.static import StaticConfig
from mtlbench.balancing.static_frontier import FrontierGrid, StaticFrontier
from mtlbench.errors import UsageError

TWO, FOUR = ("click", "buy"), ("view", "cart", "fav", "buy")


def shares(tasks: tuple[str, ...], grid: FrontierGrid) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    weights = [list(point.weights.values()) for point in StaticFrontier.points(tasks, grid)]
    return np.array(weights) / len(tasks)


def test_two_tasks_have_the_protocols_eleven_alphas() -> None:
    points = StaticFrontier.points(TWO, FrontierGrid())
    alphas = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98]
    assert [p.weights["click"] / 2 for p in points] == pytest.approx(alphas, abs=1e-6)
    assert points[5].weights == {"click": 1.0, "buy": 1.0}  # equal weights are a point, 1 a task


@pytest.mark.parametrize("tasks", [TWO, FOUR])
def test_weights_sum_to_the_number_of_tasks(tasks: tuple[str, ...]) -> None:
    sums = [sum(point.weights.values()) for point in StaticFrontier.points(tasks, FrontierGrid())]
    assert sums == pytest.approx([len(tasks)] * len(sums), abs=1e-5)


def test_more_tasks_have_32_points_drawn_evenly_from_the_simplex() -> None:
    """Dirichlet(1, ..., 1) of K shares: mean 1/K, variance (K-1)/(K^2 (K+1)), covariance -1/(K^2 (K+1))."""
    assert len(StaticFrontier.points(FOUR, FrontierGrid())) == 32
    many = shares(FOUR, FrontierGrid(points=40_000))
    assert many.mean(axis=0) == pytest.approx([1 / 4] * 4, abs=0.005)
    covariance = np.cov(many.T)
    assert np.diag(covariance) == pytest.approx([3 / 80] * 4, rel=0.05)
    assert covariance[np.triu_indices(4, 1)] == pytest.approx([-1 / 80] * 6, rel=0.1)


def test_more_points_begin_with_the_fewer_ones_and_another_seed_draws_others() -> None:
    few, more = (StaticFrontier.points(FOUR, FrontierGrid(points=n)) for n in (5, 40))
    assert more[:5] == few
    assert StaticFrontier.points(FOUR, FrontierGrid(points=5, seed=1))[0] != few[0]


def test_the_draws_are_the_same_on_every_machine() -> None:
    """PCG64 of seed 0 gives .636962, .269787, .040974 first: sorted, the gaps are the shares."""
    (point,) = StaticFrontier.points(FOUR, FrontierGrid(points=1))
    assert list(point.weights.values()) == pytest.approx(
        [4 * gap for gap in (0.040974, 0.228813, 0.367175, 0.363038)], abs=1e-5
    )


def test_a_point_weighs_the_losses_as_static_weights_do() -> None:
    configs = [
        StaticConfig(weights={"click": 0.4, "buy": 1.6}),
        StaticConfig(weights={"click": 1.0, "buy": 1.0}),
    ]
    weights = StaticFrontier(TWO, configs).weights(torch.rand(2, 2))
    assert_close(weights, torch.tensor([[0.4, 1.6], [1.0, 1.0]]))


@pytest.mark.parametrize(
    ("tasks", "grid", "complaint"),
    [
        (("click",), FrontierGrid(), "needs two tasks; there is click"),
        (TWO, FrontierGrid(points=8), "give `alphas`"),
        (FOUR, FrontierGrid(alphas=(0.5,)), "give `points`"),
    ],
)
def test_grids_that_do_not_fit_the_tasks_are_refused(
    tasks: tuple[str, ...], grid: FrontierGrid, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        StaticFrontier.points(tasks, grid)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alphas": ()},
        {"alphas": (0.5, 0.5)},
        {"alphas": (0.0, 0.5)},
        {"points": 0},
        {"seed": -1},
        {"tuning_seeds": 0},
    ],
)
def test_grids_that_are_none_are_refused(wrong: dict[str, tuple[float, ...] | int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FrontierGrid(**wrong)  # type: ignore[arg-type]
