"""RLW: Random Loss Weighting, a control for every method that finds weights.

Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning", TMLR 2022.
https://arxiv.org/abs/2111.10603

    w = K softmax(z),    z_k ~ N(0, 1) anew at each step

Departs from the paper: weights sum to K, not to 1, so that their mean is 1 per task, as in `equal`, and a
learning rate means the same; a task without a row in the batch has weight 0, and the weights of the others
sum to their number. Of the distributions that the paper compares, only the normal one.

Pitfalls: it is equal weights with noise in the gradient, a regulariser at best; a balancer that does not beat
it has shown nothing. The noise grows with the number of tasks and with the learning rate.
"""

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer, present, softmax_among


class RLW(Balancer):
    """w drawn at each step, from each replica's own generator."""

    revision = 2

    def weights(self, losses: Tensor) -> Tensor:
        """Draw new weights, (replica, task), on the CPU, so that a GPU sees the same numbers."""
        drawn = torch.stack([torch.randn(len(self.tasks), generator=g) for g in self.generators])
        here = present(losses)
        shares = softmax_among(here, drawn.to(losses, non_blocking=True))
        return here.sum(dim=1, keepdim=True) * shares
