"""Equal weights: the sum of the task losses, as it comes."""

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer


class Equal(Balancer):
    """w_k = 1."""

    def weights(self, losses: Tensor) -> Tensor:
        """Ones, (replica, task)."""
        return torch.ones_like(losses)
