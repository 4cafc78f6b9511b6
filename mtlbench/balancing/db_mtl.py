"""DB-MTL: Dual-Balancing Multi-Task Learning, of the losses and of the gradients.

Lin et al., "Dual-Balancing for Multi-Task Learning", 2023, section 3. https://arxiv.org/abs/2308.12029

With g_k the gradient of log L_k on the shared parameters, averaged over the steps t:

    G_k <- beta G_k + (1 - beta) g_k
    g    = max_j ||G_j||  sum_k G_k / ||G_k||

A task's own parameters follow the gradient of log L_k, so that its loss has weight 1 / L_k there. The
gradient is on the paper's scale, K times the largest one; there are no weights to rescale.

Departs from the paper: only dense parameters are averaged over the steps, since each batch embeds different
rows; a norm is over both. The average is divided by 1 - beta^t, so that it is a true average from the first
step on, on the same scale as the embedded part. Losses have 1e-8 added, as have the norms.

Pitfalls: beta is tuned for each dataset in the paper, and .9 is LibMTL's start. The average keeps K gradients
in memory, and lags by about 1 / (1 - beta) steps, and Adam averages once more. All tasks pull equally hard,
even one that has learned all it can: its gradient is noise, made as long as the largest. log L gives a rare
event, whose cross entropy is small, a weight of 1 / L. K backward passes per step.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mtlbench.balancing.base import Jacobian, JacobianBalancer

EPS = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class DBMTLConfig:
    """Options of DB-MTL.

    Attributes:
        beta: share of the average of past gradients kept at each step; 0 uses only the batch's gradients.
    """

    beta: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise ValueError(f"beta = {self.beta}; 0 or more, below 1")


class DBMTL(JacobianBalancer):
    """Gradients of log losses, all as long as the longest."""

    Config = DBMTLConfig

    def combine(self, losses: Tensor, jacobian: Jacobian) -> list[Tensor]:
        """Return the sum of the balanced gradients, one tensor (replica, ...) per part of the Jacobian."""
        beta, scale = self.option("beta", losses), self.own_weights(losses)
        steps = self.remember("steps", lambda: torch.zeros_like(beta))
        steps += 1
        seen = -torch.expm1(steps * beta.log())  # 1 - beta^steps
        balanced = []
        for i, part in enumerate(jacobian.dense):
            average = self.remember(f"gradient {i}", partial(torch.zeros_like, part))
            average.lerp_(_over(scale, part) * part, _over(1 - beta, part))
            balanced.append(average / _over(seen, part))
        balanced += [_over(scale, part) * part for part in jacobian.embedded]

        squares = torch.stack([part.flatten(start_dim=2).square().sum(dim=2) for part in balanced])
        norms = squares.sum(dim=0).sqrt()  # (replica, task)
        weights = norms.amax(dim=1, keepdim=True) / (norms + EPS)
        return [torch.einsum("rk,rk...->r...", weights, part) for part in balanced]

    def own_weights(self, losses: Tensor) -> Tensor:
        """Return the weights of log L: 1 / L."""
        return 1 / (losses + EPS)


def _over(column: Tensor, part: Tensor) -> Tensor:
    """Reshape (replica, task or 1) to multiply (replica, task, ...)."""
    return column.view(*column.shape, *[1] * (part.dim() - 2))
