"""Adam for the values that a balancer learns: each replica takes the steps that it would take alone.

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
https://arxiv.org/abs/1412.6980

`torch.optim.Adam` keeps its moments per parameter, out of reach of `Balancer.keep`.
"""

import math

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer

BETAS = 0.9, 0.999
EPS = 1e-8


def adam_step(
    balancer: Balancer,
    name: str,
    gradient: Tensor,
    rate: Tensor,
    decay: Tensor | None = None,
    *,
    moves: Tensor,
) -> None:
    """Move the tensor that `balancer` remembers under `name` one step down `gradient`, in place.

    Args:
        balancer: owner of the tensor, which keeps the moments too.
        name: name of a remembered tensor (replica, task).
        gradient: (replica, task).
        rate: the learning rate, (replica, 1).
        decay: L2 penalty, added to the gradient, (replica, 1).
        moves: which values take the step, (replica, task); the others keep value and moments.
    """
    value, mean, square, steps = (
        balancer.remember(f"{name}{part}", lambda: torch.zeros_like(gradient))
        for part in ("", ", its mean gradient", ", its mean square", ", its steps")
    )
    if decay is not None:
        gradient = gradient + decay * value
    steps += moves
    mean.copy_(torch.where(moves, mean.lerp(gradient, 1 - BETAS[0]), mean))
    square.copy_(torch.where(moves, square.lerp(gradient.square(), 1 - BETAS[1]), square))
    ahead, spread = (-torch.expm1(steps * math.log(beta)) for beta in BETAS)  # 1 - beta^steps
    moved = value - rate * (mean / ahead) / ((square / spread).sqrt() + EPS)
    value.copy_(torch.where(moves, moved, value))
