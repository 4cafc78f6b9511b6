"""Uncertainty weighting: tasks weighted by the noise that the model learns to expect of each.

Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics", CVPR 2018, section 3. https://arxiv.org/abs/1705.07115

With s_k = log sigma_k^2, learned along with the network:

    L = sum_k (1/2 e^{-s_k} L_k + 1/2 s_k),    so that w_k = 1/2 e^{-s_k}

Weights are on this scale: 1/2 per task at the start, not rescaled.

Departs from the paper: s has its own Adam and learning rate, and no weight decay; it is clipped to
[-20, 20], so that a task whose loss nears 0 has a finite weight; a task without a row in the batch has weight
0, and its s is not updated; classification has the factor 1/2 of regression (the paper's e^{-s} L + 1/2 s for
a classification has twice the weight at the same s).

Pitfalls: at equilibrium e^{s} = L and w = 1 / (2 L), so the objective is sum_k log L_k, whatever the losses
are. The likelihood behind it is a regression's; the binary cross entropy of a rare event is small because the
event is rare, not because it is certain, and gets a large weight: with losses of .108 for clicks and .0061
for purchases, purchases weigh 18 times as much. A task that overfits gets even more weight. The learning rate
decides how soon all this happens; in a short run s may never converge. LibMTL starts at s = -0.5.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.balancing.adam import adam_step
from mtlbench.balancing.base import Balancer, present

LARGEST = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyConfig:
    """Options of uncertainty weighting.

    Attributes:
        initial: s at the start; 0 as in most code, the paper finds that it does not matter.
        learning_rate: learning rate of the Adam that learns s; our choice: a few hundred steps are enough.
    """

    initial: float = 0.0
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        if not abs(self.initial) <= LARGEST:
            raise ValueError(f"initial = {self.initial}; between {-LARGEST:g} and {LARGEST:g}")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate = {self.learning_rate}; a finite number, 0 or more")


class Uncertainty(Balancer):
    """w_k = 1/2 e^{-s_k}, s_k learned."""

    Config = UncertaintyConfig
    revision = 2

    def weights(self, losses: Tensor) -> Tensor:
        """Return the weights at the current s, (replica, task), then update s."""
        here = present(losses)
        s = self.remember("s", lambda: self.option("initial", losses).expand_as(losses).clone())
        weights = torch.exp(-s) / 2
        adam_step(self, "s", 0.5 - weights * losses, self.option("learning_rate", losses), moves=here)
        s.clamp_(-LARGEST, LARGEST)
        return weights * here
