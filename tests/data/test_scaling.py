"""Scaling by what train holds."""

from pathlib import Path

import numpy as np

from mtlbench.data.scaling import scale


def test_a_column_that_is_constant_on_train_is_nothing_later(tmp_path: Path) -> None:
    """A network never learns its weight, so another value on test would only disturb."""
    matrix = tmp_path / "numeric.npy"
    np.save(matrix, np.array([[9, 1], [5, np.nan]], np.float32))
    scale(matrix, np.array([7.0, 1.0]), np.array([0.0, 2.0]))
    assert np.load(matrix).tolist() == [[0, 0], [0, 0]]
