"""DWA: Dynamic Weight Average, by how slowly each loss has fallen recently.

Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, section 4.1.3.
https://arxiv.org/abs/1803.10704

With L_k(t) the mean loss of task k over epoch t:

    w_k(t) = K softmax_k( r_k / T ),    r_k = L_k(t-1) / L_k(t-2)

Weights sum to K, as in the paper; in the first two epochs they are 1 per task.

Departs from the paper: an epoch is a window of `window` steps, since the rows of an epoch depend on the
dataset and training here may end after four. A task without a row in a batch has weight 0 there, the weights
of the others sum to their number, and the batch does not count in the task's mean; a window without any row
of the task is skipped for it, and r is 1 until there are two windows.

Pitfalls: r is close to 1 soon after training starts, and then the weights are equal: with T = 2, a task that
stagnates beside one that halves its loss has a weight of 1.12 against .88. A task that gets worse, because it
overfits or because its window had other rows, gains weight: r carries the noise of two means. A longer window
is less noisy but reacts later.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer, present, softmax_among

EPS = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class DWAConfig:
    """Options of DWA.

    Attributes:
        temperature: T; the larger, the more even the weights. 2 is the paper's.
        window: number of steps over which losses are averaged, in place of the paper's epoch; our choice.
    """

    temperature: float = 2.0
    window: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature = {self.temperature}; a finite number above 0")
        if self.window < 1:
            raise ValueError(f"window = {self.window}; at least 1")


class DWA(Balancer):
    """w_k grows with the ratio of the mean losses of the last two windows."""

    Config = DWAConfig
    revision = 2

    def weights(self, losses: Tensor) -> Tensor:
        """Return the weights of this window, (replica, task); the losses count for the next."""
        total, last, older, seen, steps = (
            self.remember(name, lambda: torch.zeros_like(losses))
            for name in (
                "sum of this window",
                "mean of the last",
                "mean before",
                "its batches with a row of the task",
                "steps of this window",
            )
        )
        here = present(losses)
        rates = torch.where(older > EPS, last / older.clamp(min=EPS), 1.0)
        shares = softmax_among(here, rates / self.option("temperature", losses))

        total += losses
        seen += here
        steps += 1
        over = steps >= self.option("window", losses)
        told = over & (seen > 0)
        older.copy_(torch.where(told, last, older))
        last.copy_(torch.where(told, total / seen, last))
        for count in (total, seen, steps):
            count.masked_fill_(over, 0.0)
        return here.sum(dim=1, keepdim=True) * shares
