"""The volume that a set of trade-offs covers."""

import numpy as np
import pytest

from mtlbench.statistics.hypervolume import hypervolume, non_dominated


def test_two_boxes_by_hand() -> None:
    """[0,3]x[0,1] and [0,1]x[0,2] share [0,1]x[0,1]: 3 + 2 - 1."""
    points = np.array([[3.0, 1.0], [1.0, 2.0]])
    assert hypervolume(points, np.zeros(2)) == 4.0
    assert hypervolume(points + 10, np.full(2, 10.0)) == 4.0


def test_points_not_above_the_reference_or_dominated_add_nothing() -> None:
    points = np.array([[3.0, 1.0], [1.0, 2.0]])
    more = np.array([[2.9, 0.9], [3.0, 1.0], [9.0, 0.0], [-1.0, 5.0]])
    assert hypervolume(np.concatenate([points, more]), np.zeros(2)) == 4.0
    assert hypervolume(more[2:], np.zeros(2)) == 0.0
    assert hypervolume(np.empty((0, 3)), np.zeros(3)) == 0.0


@pytest.mark.parametrize("axes", [1, 2, 3, 4, 5])
def test_it_is_the_share_of_random_points_that_some_point_dominates(axes: int) -> None:
    rng = np.random.default_rng(axes)
    points = rng.random((12, axes)) ** 0.5
    thrown = rng.random((200_000, axes))
    covered = np.any(np.all(thrown[:, None] <= points, axis=2), axis=1).mean()
    error = np.sqrt(covered * (1 - covered) / len(thrown))
    assert hypervolume(points, np.zeros(axes)) == pytest.approx(covered, abs=5 * error + 1e-12)


def test_the_order_of_points_and_of_axes_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((15, 4))
    volume = hypervolume(points, np.zeros(4))
    assert hypervolume(points[rng.permutation(15)], np.zeros(4)) == pytest.approx(volume, rel=1e-12)
    assert hypervolume(points[:, [2, 0, 3, 1]], np.zeros(4)) == pytest.approx(volume, rel=1e-12)


def test_ties_dominate_neither_way() -> None:
    points = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    assert non_dominated(points).tolist() == [True, True, False, True, True]
