"""FAMO: Fast Adaptive Multitask Optimization, so that all losses fall at the same rate.

Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, section 3.
https://arxiv.org/abs/2306.03792

With logits xi learned, z = softmax(xi), and losses L before and L' after the step on the same batch:

    w_k  = c z_k / L_k,    c = 1 / sum_j (z_j / L_j)
    d_k  = log L_k - log L'_k
    xi  <- Adam step down  J' d + gamma xi,    J = dz / dxi = diag(z) - z z'

A task whose loss fell by more than the others' loses weight. Weights sum to 1, as in the paper.

Departs from the paper: the optional lower bound b_k to subtract from L_k is 0; losses have 1e-8 added before
the logarithm, as in the authors' code. A task without a row in the batch is left out: its weight is 0 and its
xi unchanged. The defaults are the paper's; in the authors' code, methods/weight_methods.py has gamma = 1e-5
and famo.py, which is FAMO alone, .01.

Pitfalls: the second forward pass, on the same rows with the same dropout masks, makes a step of hard sharing
one and a half times as long: gains must be weighed against that. Losses must be above 0. It weights by 1 /
L_k as GLS does, so a rare event gains weight from the first step on, when xi is still 0. The change of a loss
in one step on one batch reflects the batch as much as the task: with small batches xi follows noise.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.balancing.adam import adam_step
from mtlbench.balancing.base import Balancer, present, softmax_among

EPS = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class FAMOConfig:
    """Options of FAMO.

    Attributes:
        learning_rate: learning rate of the Adam that learns xi.
        decay: gamma, which pulls xi back to equal weights.
    """

    learning_rate: float = 0.025
    decay: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("learning_rate", "decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}; a finite number, 0 or more")


class FAMO(Balancer):
    """w_k proportional to z_k / L_k, z learned from the effect of each step on each loss."""

    Config = FAMOConfig
    revision = 2
    wants_after = True

    def weights(self, losses: Tensor) -> Tensor:
        """Return the weights of this step, (replica, task); keep the losses for `after`."""
        self.remember("before", lambda: torch.empty_like(losses)).copy_(losses)
        here = present(losses)
        weights = self._shares(losses, here) / (losses + EPS)
        return (weights / weights.sum(dim=1, keepdim=True)).masked_fill(~here, 0.0)

    def after(self, losses: Tensor) -> None:
        """Take weight from the tasks whose loss fell by more than the others'."""
        before = self.remember("before", losses.clone)
        here = present(before)
        fallen = (before + EPS).log() - (losses + EPS).log()
        z = self._shares(losses, here)
        gradient = z * (fallen - (z * fallen).sum(dim=1, keepdim=True))
        rate, decay = self.option("learning_rate", losses), self.option("decay", losses)
        adam_step(self, "xi", gradient, rate, decay, moves=here)

    def _shares(self, losses: Tensor, here: Tensor) -> Tensor:
        return softmax_among(here, self.remember("xi", lambda: torch.zeros_like(losses)))
