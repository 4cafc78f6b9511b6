"""One side of the comparison: a library's own model, trainer and loader on the same rows."""

import torch
from torch import Tensor

from mtlbench.bench.train.cases import Case
from mtlbench.load import Prepared


class Model:
    """A model of that case; what is inside `train` and `score` is what the clock sees.

    Attributes:
        case: which one.
        prepared: the rows.
        device: where they are trained on.
    """

    def __init__(self, case: Case, prepared: Prepared, device: torch.device) -> None:
        self.case, self.prepared, self.device = case, prepared, device

    def train(self, seed: int) -> None:
        """One epoch, then validation once."""
        raise NotImplementedError

    def score(self) -> Tensor:
        """The test split: (row, task) probabilities."""
        raise NotImplementedError
