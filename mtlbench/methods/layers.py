"""Layers that methods share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, linear

from mtlbench.methods.base import NetworkConfig
from mtlbench.methods.joined import Joined
from mtlbench.methods.products import affine, chosen

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


class Dropout(nn.Module):
    """Dropout that multiplies by `mask`, which the training loop swaps in at each step.

    Under `vmap(randomness="different")`, `nn.Dropout` draws different masks for a model on its own and for
    the same model in a stack; a mask keyed by (seed, step, layer) is the same in both.
    """

    mask: Tensor

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.width, self.rate = width, rate
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Scale `x` (batch, width) by the mask: 0, or 1 / (1 - rate)."""
        return x * self.mask if self.training else x


class BatchNorm(nn.Module):
    """Batch normalisation over (batch, width), written so that replicas can be stacked.

    Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2. The running mean and variance are
    plain buffers, which `torch.func.vmap` updates in place for each replica. `nn.BatchNorm1d` also counts its
    batches, and refuses a batch of one row; here such a batch is normalised to 0 and leaves the buffers as
    they are.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch's statistics in training, by the running statistics in scoring."""
        x = x.to(self.weight.dtype)  # batch statistics are in single precision, even under autocast
        if self.training and len(x) == 1:
            return (x - x) * self.weight + self.bias
        figures = self.mean, self.variance, self.weight, self.bias
        return batch_norm(x, *figures, self.training, self.momentum, self.epsilon)


class Linear(nn.Linear):
    """`nn.Linear` with faster large products for a single (unstacked) model on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        large = chosen(x, self.weight)
        if isinstance(x, Joined) and x.sound and (large or x.taken_apart):
            return x.times(self.weight, self.bias)
        if not large:
            return linear(x, self.weight, self.bias)
        return affine(x, self.weight, self.bias)


class Output(Linear):
    """The final layer, which gives the score: in single precision, whatever the precision below it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def mlp(
    input_dim: int, dims: Sequence[int], config: NetworkConfig, outputs: int = 0, *, bare: bool = False
) -> nn.Sequential:
    """Build hidden layers of widths `dims` (linear, norm, activation, dropout), then `outputs` linear units.

    `bare` leaves out norm and dropout, as in gates and attention units.
    """
    layers: list[nn.Module] = []
    for width in dims:
        # Batch normalisation cancels a bias: its gradient is noise, which Adam would turn into steps.
        layers.append(Linear(input_dim, width, bias=bare or config.norm != "batch"))
        if config.norm != "none" and not bare:
            layers.append(nn.LayerNorm(width) if config.norm == "layer" else BatchNorm(width))
        layers.append(_activation(config.activation))
        if config.dropout and not bare:
            layers.append(Dropout(width, config.dropout))
        input_dim = width
    if outputs:
        layers.append(Output(input_dim, outputs))
    return nn.Sequential(*layers)


def _activation(name: str) -> nn.Module:
    """Build an activation, in place for ReLU: the linear layer or norm before it does not need its output."""
    return nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()
