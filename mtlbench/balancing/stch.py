"""STCH: Smooth Tchebycheff Scalarization, a smooth maximum of the losses.

Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024, section 3.
https://arxiv.org/abs/2402.19078

With preferences lambda_k and the ideal point z*:

    g = mu log sum_k exp( lambda_k (L_k - z*_k) / mu )
    w_k = K softmax_k( lambda_k (L_k - z*_k) / mu ),    lambda_k = 1 / K, z* = 0

The plain variant, as torchjd has it. LibMTL has another: logarithms of the losses, divided by what they were
after a first phase of training.

Departs from the paper: weights sum to K, where the gradient of g sums to 1 / K, a scale that depends on how
the preferences are normalised. There are no preferences and no ideal point: 0 is below every loss, but for a
cross entropy far below what can be reached. K counts the tasks that have a row in the batch; the others have
weight 0.

Pitfalls: the largest loss gets the largest weight, whatever makes it large: a regression in its own units or
a frequent event outweighs a rare one, the reverse of what `uncertainty` does. mu is in the units of the
losses over K: far above their spread weights are equal, far below only the largest loss is trained.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from mtlbench.balancing.base import Balancer, present, softmax_among


@dataclass(frozen=True, slots=True, kw_only=True)
class STCHConfig:
    """Options of STCH.

    Attributes:
        mu: smoothness of the maximum; the paper tries .01, .1, .5 and 1.
    """

    mu: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.mu < math.inf:
            raise ValueError(f"mu = {self.mu}; a finite number above 0")


class STCH(Balancer):
    """w_k = K softmax(L_k / (K mu))."""

    Config = STCHConfig
    revision = 2

    def weights(self, losses: Tensor) -> Tensor:
        """Return the gradient of the smooth maximum, scaled to sum to K, (replica, task)."""
        here = present(losses)
        count = here.sum(dim=1, keepdim=True)
        return count * softmax_among(here, losses / (count * self.option("mu", losses)))
