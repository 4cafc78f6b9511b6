"""GradNorm: weights learned so that each task's gradient is longer the more the task is behind.

Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks", ICML
2018, section 3 and algorithm 1. https://arxiv.org/abs/1711.02257

With g_k the gradient of task k on the shared parameters:

    G_k = w_k ||g_k||,    Gbar = mean_k G_k
    r_k = (L_k / L_k(0)) / mean_j (L_j / L_j(0))
    w  <- step down the gradient of sum_k | G_k - Gbar r_k^alpha |, then scaled to sum to K

where Gbar r_k^alpha is held constant. The weights apply to a task's own parameters too. They always sum to K:
`rescale` changes nothing.

Departs from the paper: norms are over all shared parameters, embedded rows included, not over the last shared
layer; L_k(0) is the first loss above 0, of a single batch; weights are clipped to .001 or more, since their
steps could turn them negative. A task without a row in the batch is left out: its weight is not updated, and
the weights of the others sum to their number.

Pitfalls: the gradient on w_k is ||g_k|| or its negative, so Adam steps by about its learning rate however
near the goal is, and the weights keep oscillating: the learning rate is the resolution. L_k(0) of one batch
is noisy, and r_k carries that noise to the end. No output starts at its label's mean here, so the first cross
entropy is near log 2 whatever the event: that of a rare event falls to a small part of that as soon as the
network has learned that it is rare, so it counts as ahead and loses weight, where `uncertainty` gives it
more; a frequent event, whose loss cannot fall far, counts as behind. K backward passes per step.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.balancing.adam import adam_step
from mtlbench.balancing.base import GramBalancer, MixOptions, present

EPS = 1e-8
SMALLEST = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class GradNormConfig(MixOptions):
    """Options of GradNorm.

    Attributes:
        alpha: how strongly tasks are pulled to the same rate of training; 1.5 is the paper's on NYUv2, 0
            makes all gradients equally long.
        learning_rate: learning rate of the Adam that learns the weights.
    """

    alpha: float = 1.5
    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        for name in ("alpha", "learning_rate"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}; a finite number, 0 or more")


class GradNorm(GramBalancer):
    """w_k learned from the gradients' lengths and the progress of each loss."""

    Config = GradNormConfig
    revision = 2

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        """Return the weights of this step, (replica, task), which sum to K, then update them."""
        weights = self.remember("weights", lambda: torch.ones_like(losses))
        here = present(losses)
        left_to_them = len(self.tasks) - (weights * ~here).sum(dim=1, keepdim=True)
        scale = here.sum(dim=1, keepdim=True) / left_to_them
        used = self._used(losses).copy_(torch.where(here, weights * scale, 1.0))
        first = self.remember("first losses", lambda: torch.zeros_like(losses))
        first.copy_(torch.where(first > 0, first, losses))

        norms = gram.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
        lengths = used * norms
        left = torch.where(first > 0, losses / first.clamp(min=EPS), 1.0)
        behind = left / _mean(left, here).clamp(min=EPS)
        target = _mean(lengths, here) * behind ** self.option("alpha", losses)
        gradient = norms * (lengths - target).sign()
        adam_step(self, "weights", gradient, self.option("learning_rate", losses), moves=here)
        weights.clamp_(min=SMALLEST)
        scale = left_to_them / (weights * here).sum(dim=1, keepdim=True)
        weights.copy_(torch.where(here, weights * scale, weights))
        return used

    def own_weights(self, losses: Tensor) -> Tensor:
        """Return the same weights, since the method weights losses."""
        return self._used(losses).clone()

    def _used(self, losses: Tensor) -> Tensor:
        return self.remember("weights of this step", lambda: torch.ones_like(losses))


def _mean(values: Tensor, here: Tensor) -> Tensor:
    """Average over the tasks that are `here`, (replica, 1); 0 if there are none."""
    return (values * here).sum(dim=1, keepdim=True) / here.sum(dim=1, keepdim=True).clamp(min=1)
