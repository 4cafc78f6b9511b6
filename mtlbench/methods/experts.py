"""Experts and their mixtures, shared by many methods."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlbench.methods.base import NetworkConfig
from mtlbench.methods.layers import mlp


class Experts(nn.ModuleList):
    """Parallel networks that read the same input."""

    def __init__(self, number: int, input_dim: int, config: NetworkConfig) -> None:
        super().__init__(mlp(input_dim, config.network, config) for _ in range(number))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (batch, input_dim) to one (batch, expert_dim) per expert."""
        return [expert(x) for expert in self]


def mixture(weights: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """Sum experts (batch, expert_dim), each weighted by its column of `weights` (batch, expert).

    On a CPU, adding term by term is two to four times as fast as multiplying a small matrix for each row.
    """
    first, *others = torch.split(weights, 1, dim=-1)  # (batch, 1) each
    total = first * experts[0]
    for weight, expert in zip(others, experts[1:], strict=True):
        total = torch.addcmul(total, weight, expert)
    return total
