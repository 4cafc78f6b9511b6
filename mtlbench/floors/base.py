"""What a floor is given and what it owes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mtlbench.floors.columns import Columns
from mtlbench.schema import Schema, Task

Features = Any
"""(rows, feature) a dense array or a scipy.sparse matrix, as the floor wants them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorConfig:
    """Options that all floors share.

    Attributes:
        max_rows: of train and of validation; more than that are thinned to so many, drawn by the seed.
    """

    max_rows: int = 1_000_000

    def __post_init__(self) -> None:
        if self.max_rows < 1:
            raise ValueError(f"max_rows = {self.max_rows}; at least 1")


class Model(Protocol):
    """A fitted model of one task."""

    @property
    def parameters(self) -> int | None:
        """How many numbers it holds; None where that is not known."""

    def predict(self, features: Features) -> NDArray[np.floating]:
        """Probabilities of a binary task, values in label units of another: (rows,)."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same prediction for every row."""

    value: float
    parameters: int = 1

    def predict(self, features: Features) -> NDArray[np.floating]:
        """`value`, (rows,)."""
        return np.full(features.shape[0], self.value)


@dataclass(frozen=True, slots=True)
class Estimator:
    """A fitted scikit-learn estimator as a model."""

    fitted: Any
    binary: bool
    parameters: int | None = None

    def predict(self, features: Features) -> NDArray[np.floating]:
        """Probability of the positive class, or the value."""
        if features.shape[0] == 0:  # which scikit-learn refuses
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
        """Whether there is nothing to tell apart."""
        return len(self.label) == 0 or bool((self.label == self.label[0]).all())

    def constant(self) -> Constant:
        """The mean label; 0 where there is no row."""
        return Constant(float(self.label.mean(dtype=np.float64)) if len(self.label) else 0.0)


class Floor:
    """A model a task without a network: fitted on train, its settings chosen on validation, never on test.

    What the models see of a row depends on no label and on no other row.
    """

    Config: ClassVar[type[FloorConfig]] = FloorConfig
    per_task: ClassVar[bool] = True
    """Nothing is shared, so that there is nothing to balance."""
    constant: ClassVar[bool] = False
    """Predicts one number a task, and means it."""
    revision: ClassVar[int] = 1
    """Raised in the commit that may change a number; part of a run's identity."""

    def __init__(
        self, schema: Schema, vocabularies: Mapping[str, int], config: FloorConfig, seed: int
    ) -> None:
        """Remember what it is fitted on; `config` is an instance of the class's own `Config`."""
        self.schema, self.vocabularies, self.seed = schema, vocabularies, seed

    def features(self, columns: Columns) -> Features:
        """What the models see of a block of rows: (rows, feature)."""
        raise NotImplementedError

    def fit_task(self, task: Task, train: Known, validation: Known) -> Model:
        """A model of that task; `train` holds both classes, or labels that differ."""
        raise NotImplementedError
