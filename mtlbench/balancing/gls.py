"""GLS: Geometric Loss Strategy, the geometric mean of the losses.

Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
Learning", CVPR Workshops 2019. https://arxiv.org/abs/1904.08492

    L = (prod_k L_k)^{1/K},    so that w_k = dL / dL_k = L / (K L_k)

Weights are this gradient, not rescaled: 1/K per task if the losses are equal.

Departs from the paper: computed from logarithms, since a product of many losses underflows; losses below 1e-8
count as 1e-8. A task without a row in the batch is left out of the mean, and out of K.

Pitfalls: losses must be above 0. As in all methods that minimise sum_k log L_k, a rare event, whose cross
entropy is small, gets a weight of 1 / L_k; and a loss near 0 shrinks the step of all tasks, since their
product is near 0. LibMTL uses the product itself.
"""

from torch import Tensor

from mtlbench.balancing.base import Balancer, present

EPS = 1e-8


class GLS(Balancer):
    """w_k = (geometric mean of the losses) / (K L_k)."""

    revision = 2

    def weights(self, losses: Tensor) -> Tensor:
        """Return the gradient of the geometric mean, (replica, task)."""
        here, positive = present(losses), losses.clamp(min=EPS)
        count = here.sum(dim=1, keepdim=True).clamp(min=1)
        mean = ((positive.log() * here).sum(dim=1, keepdim=True) / count).exp()
        return here * mean / (count * positive)
