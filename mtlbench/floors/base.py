"""The contract of floors: what they receive and what they must provide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mtlbench.floors.columns import Columns
from mtlbench.schema import Schema, Task

Features = Any
"""Features (rows, feature): a dense array or a scipy.sparse matrix, as the floor chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorConfig:
    """Options that all floors share.

    Attributes:
        max_rows: most rows used of train and of validation; larger splits are subsampled, by the seed.
    """

    max_rows: int = 1_000_000

    def __post_init__(self) -> None:
        if self.max_rows < 1:
            raise ValueError(f"max_rows = {self.max_rows}; at least 1")


class Model(Protocol):
    """A fitted model of one task."""

    @property
    def parameters(self) -> int | None:
        """The number of parameters; None where that is not known."""

    def predict(self, features: Features) -> NDArray[np.floating]:
        """Predict probabilities for a binary task, values in label units for a regression: (rows,)."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same prediction for every row."""

    value: float
    parameters: int = 1

    def predict(self, features: Features) -> NDArray[np.floating]:
        """Return `value` for every row, (rows,)."""
        return np.full(features.shape[0], self.value)


@dataclass(frozen=True, slots=True)
class Estimator:
    """A fitted scikit-learn estimator as a model."""

    fitted: Any
    binary: bool
    parameters: int | None = None

    def predict(self, features: Features) -> NDArray[np.floating]:
        """Predict the probability of the positive class, or the value."""
        if features.shape[0] == 0:  # scikit-learn refuses empty input
            return np.empty(0)
        scores: NDArray[np.floating] = (
            self.fitted.predict_proba(features)[:, 1] if self.binary else self.fitted.predict(features)
        )
        return scores


@dataclass(frozen=True, slots=True)
class Known:
    """The rows on which a task is defined.

    Attributes:
        features: (rows, feature).
        label: (rows,) in label units; 0 or 1 for a binary task.
    """

    features: Features
    label: NDArray[np.float32]

    @property
    def one_class(self) -> bool:
        """Whether all labels are equal, or there are none."""
        return len(self.label) == 0 or bool((self.label == self.label[0]).all())

    def constant(self) -> Constant:
        """Return a model that predicts the mean label; 0 without rows."""
        return Constant(float(self.label.mean(dtype=np.float64)) if len(self.label) else 0.0)


class Floor:
    """One model per task, without a network: fitted on train, with settings chosen on validation, not test.

    The features of a row depend on no label and on no other row.
    """

    Config: ClassVar[type[FloorConfig]] = FloorConfig
    per_task: ClassVar[bool] = True
    """Always true: nothing is shared, so there is nothing to balance."""
    constant: ClassVar[bool] = False
    """Whether the floor predicts the same number for every row of a task by design."""
    revision: ClassVar[int] = 1
    """Version of the floor's numbers, raised in any commit that may change one; part of a run's identity."""

    def __init__(
        self, schema: Schema, vocabularies: Mapping[str, int], config: FloorConfig, seed: int
    ) -> None:
        """Store the inputs of fitting; `config` is an instance of the class's own `Config`."""
        self.schema, self.vocabularies, self.seed = schema, vocabularies, seed

    def features(self, columns: Columns) -> Features:
        """Compute the models' features for a block of rows: (rows, feature)."""
        raise NotImplementedError

    def fit_task(self, task: Task, train: Known, validation: Known) -> Model:
        """Fit a model of `task`; the labels of `train` are not all equal."""
        raise NotImplementedError
