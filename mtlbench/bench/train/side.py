"""One side of the comparison: a library's own model, trainer and loader on the same rows."""

import torch
from torch import Tensor

from mtlbench.bench.train.cases import Case
from mtlbench.load import Prepared


class Model:
    """A model of one case; only `train` and `score` are timed.

    Attributes:
        case: the case.
        prepared: the dataset.
        device: the device to train on.
    """

    def __init__(self, case: Case, prepared: Prepared, device: torch.device) -> None:
        self.case, self.prepared, self.device = case, prepared, device

    def train(self, seed: int) -> None:
        """Train one epoch, then score validation once."""
        raise NotImplementedError

    def score(self) -> Tensor:
        """Score the test split: (row, task) probabilities."""
        raise NotImplementedError
