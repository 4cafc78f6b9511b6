"""IMTL-L: the loss side of Impartial Multi-Task Learning.

Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.2.
https://openreview.net/forum?id=IMPnRXEWpvr

With a learned scale s_k per task:

    L = sum_k (e^{s_k} L_k - s_k),    so that w_k = e^{s_k}

Weights are on this scale: 1 per task at the start, not rescaled.

Departs from the paper: s has its own Adam and learning rate, and no weight decay; it is clipped to
[-20, 20], so that a task whose loss nears 0 has a finite weight; a task without a row in the batch has weight
0, and its s is not updated.

Pitfalls: it is uncertainty weighting without the likelihood: its objective is twice that of `uncertainty` at
-s, and with Adam, which ignores the factor, its weights are twice as large at every step. Use only one of the
two: they are not independent evidence. At equilibrium w = 1 / L, so that all weighted losses are 1 and a rare
event, whose cross entropy is small, gets a large weight.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.balancing.adam import adam_step
from mtlbench.balancing.base import Balancer, present

LARGEST = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IMTLLConfig:
    """Options of IMTL-L.

    Attributes:
        learning_rate: learning rate of the Adam that learns s; our choice: a few hundred steps are enough.
    """

    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate = {self.learning_rate}; a finite number, 0 or more")


class IMTLL(Balancer):
    """w_k = e^{s_k}, s_k learned."""

    Config = IMTLLConfig
    revision = 2

    def weights(self, losses: Tensor) -> Tensor:
        """Return the weights at the current s, (replica, task), then update s."""
        here = present(losses)
        s = self.remember("s", lambda: torch.zeros_like(losses))
        weights = s.exp()
        adam_step(self, "s", weights * losses - 1, self.option("learning_rate", losses), moves=here)
        s.clamp_(-LARGEST, LARGEST)
        return weights * here
