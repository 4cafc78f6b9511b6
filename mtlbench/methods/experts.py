"""Experts and their mixtures, as many methods have them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlbench.methods.base import NetworkConfig
from mtlbench.methods.layers import mlp


class Experts(nn.ModuleList):
    """Networks side by side, of one input."""

    def __init__(self, number: int, input_dim: int, config: NetworkConfig) -> None:
        super().__init__(mlp(input_dim, config.network, config) for _ in range(number))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (batch, input_dim) to (batch, expert_dim) each."""
        return [expert(x) for expert in self]


def mixture(weights: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """The sum of experts (batch, expert_dim), each weighed by its column of (batch, expert).

    Term by term it is two to four times as fast on a CPU as a product of a small matrix a row.
    """
    first, *others = torch.split(weights, 1, dim=-1)  # (batch, 1) each
    total = first * experts[0]
    for weight, expert in zip(others, experts[1:], strict=True):
        total = torch.addcmul(total, weight, expert)
    return total
