"""Logistic regression on one-hot ids; ridge regression for regression tasks.

McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD 2013, section 2 (the model; they train it
online with FTRL and an L1 penalty, here it is L-BFGS and L2). https://doi.org/10.1145/2487575.2488200

    logit P(y_k = 1 | x) = b_k + w_k.x

x has one column per field and id (padding and out-of-vocabulary ids included), the share of each id among a
sequence's ids, and the scaled numbers. Fields of the same vocabulary have separate weights. The penalty is
chosen on validation by the training loss: the AUC of a rare task is too noisy to choose by. No crossed
features: interactions of fields are left to the trees and the networks.

Pitfalls: ids with few rows each are constrained only by the penalty, so the strongest of `penalties` may be
chosen: then add stronger ones. A large dataset is subsampled to `max_rows`, which makes a lower floor than
possible.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mtlbench.floors.base import Estimator, Floor, FloorConfig, Known
from mtlbench.floors.columns import Columns
from mtlbench.metrics import log_losses, squared_errors
from mtlbench.schema import PADDING, Schema, Task

ITERATIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticConfig(FloorConfig):
    """Options of logistic regression.

    Attributes:
        penalties: L2 penalties (1 / C of scikit-learn, alpha of its ridge regression), tried from the
            strongest on until validation's loss rises.
    """

    penalties: tuple[float, ...] = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)

    def __post_init__(self) -> None:
        FloorConfig.__post_init__(self)
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties = {list(self.penalties)}; at least one, all above 0")


class Logistic(Floor):
    """One linear model per task."""

    Config = LogisticConfig

    def __init__(
        self, schema: Schema, vocabularies: Mapping[str, int], config: LogisticConfig, seed: int
    ) -> None:
        super().__init__(schema, vocabularies, config, seed)
        self.penalties = sorted(config.penalties, reverse=True)
        ids = (*schema.of_kind("categorical"), *schema.of_kind("sequence"))
        starts = np.cumsum([0, *(vocabularies[f.vocabulary] for f in ids)])
        self.starts, self.width = starts[:-1], int(starts[-1]) + len(schema.of_kind("numeric"))

    def features(self, columns: Columns) -> Any:
        """Compute sparse features (rows, sum of vocabularies + numbers), float32."""
        rows, fields = columns.categorical.shape
        numbers = columns.numeric.shape[1]
        index = [columns.categorical + self.starts[:fields]]
        value = [np.ones((rows, fields), np.float32)]
        for start, ids in zip(self.starts[fields:], columns.sequences, strict=True):
            there = (ids != PADDING).astype(np.float32)
            index.append(ids + start)
            value.append(there / there.sum(axis=1, keepdims=True).clip(min=1))
        index.append(np.broadcast_to(np.arange(self.width - numbers, self.width), (rows, numbers)))
        value.append(columns.numeric)
        column, filled = np.hstack(index).astype(np.int32), np.hstack(value)
        ends = np.arange(rows + 1, dtype=np.int32) * column.shape[1]
        matrix = csr_array((filled.ravel(), column.ravel(), ends), shape=(rows, self.width))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix

    def fit_task(self, task: Task, train: Known, validation: Known) -> Estimator:
        """Fit models from the strongest penalty on; return the one with the lowest loss on validation."""
        binary, least = task.kind == "binary", math.inf
        for penalty in self.penalties:
            model = _fit(penalty, binary, train)
            loss = _loss(model, validation)
            if loss >= least:
                break
            best, least = model, loss
        return best


def _loss(model: Estimator, validation: Known) -> float:
    """Sum the loss over the rows; 0 if there are none."""
    if len(validation.label) == 0:
        return 0.0
    losses = log_losses if model.binary else squared_errors
    return float(losses(validation.label, model.predict(validation.features)).sum())


def _fit(penalty: float, binary: bool, train: Known) -> Estimator:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    model = (
        LogisticRegression(C=1 / penalty, max_iter=ITERATIONS) if binary else Ridge(alpha=penalty, tol=1e-6)
    )
    with warnings.catch_warnings():
        # Weak penalties may need more steps than they get; validation still decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.features, train.label)
    return Estimator(model, binary, parameters=model.coef_.size + 1)
