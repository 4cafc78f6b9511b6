"""Equal weights: the plain sum of the task losses.

    L = sum_k L_k

Pitfalls: a task whose loss is large, such as a common event or a regression, dominates the shared parameters,
and a rare one hardly counts. Compared with equal weights alone, any change of weights looks like a method:
compare balancers with `static-frontier` too.
"""

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer


class Equal(Balancer):
    """w_k = 1."""

    replays = True

    def weights(self, losses: Tensor) -> Tensor:
        """Return ones, (replica, task)."""
        return torch.ones_like(losses)
