"""Base rate: every row is given the task's mean on train.

AUC one half, R2 about 0, normalised entropy about 1: the scores of a model that ignores the row. A model at
or below it has learned nothing, and it is the reference for a log loss.

Pitfalls: its AUC is one half by definition, so it says nothing about ranking.
"""

import numpy as np
from numpy.typing import NDArray

from mtlbench.floors.base import Constant, Floor, Known
from mtlbench.floors.columns import Columns
from mtlbench.schema import Task


class BaseRate(Floor):
    """The mean label of train."""

    constant = True

    def features(self, columns: Columns) -> NDArray[np.float32]:
        """Return no features, (rows, 0)."""
        return np.empty((len(columns), 0), np.float32)

    def fit_task(self, task: Task, train: Known, validation: Known) -> Constant:
        """Fit the mean label of the rows where the task is defined."""
        return train.constant()
