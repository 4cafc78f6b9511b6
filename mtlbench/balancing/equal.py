"""Equal weights: the sum of the task losses, as it comes.

    L = sum_k L_k

Pitfalls: a task whose loss is large, such as a common event or a regression, has the say over what is shared,
and a rare one next to none. Held against it alone, any change of weights looks like a method: hold balancers
against `static-frontier` too.
"""

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer


class Equal(Balancer):
    """w_k = 1."""

    replays = True

    def weights(self, losses: Tensor) -> Tensor:
        """Ones, (replica, task)."""
        return torch.ones_like(losses)
