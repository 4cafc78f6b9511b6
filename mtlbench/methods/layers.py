"""Layers that methods share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlbench.methods.base import NetworkConfig


class Dropout(nn.Module):
    """Dropout fed from outside: multiplies by `mask`, which the training loop swaps in at each step.

    `nn.Dropout` under `vmap(randomness="different")` draws other masks for a model alone than for the
    same model in a stack; a mask keyed by (seed, step, layer) does not.
    """

    mask: Tensor

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.width, self.rate = width, rate
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale `x` (batch, width) by the mask: 0, or 1 / (1 - rate)."""
        return x * self.mask if self.training else x


def mlp(input_dim: int, dims: Sequence[int], config: NetworkConfig, outputs: int = 0) -> nn.Sequential:
    """Hidden layers of widths `dims` (linear, norm, ReLU, dropout), then a linear layer of `outputs`."""
    layers: list[nn.Module] = []
    for width in dims:
        layers.append(nn.Linear(input_dim, width))
        if config.layer_norm:
            layers.append(nn.LayerNorm(width))
        layers.append(nn.ReLU())
        if config.dropout:
            layers.append(Dropout(width, config.dropout))
        input_dim = width
    if outputs:
        layers.append(nn.Linear(input_dim, outputs))
    return nn.Sequential(*layers)
