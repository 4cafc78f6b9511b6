"""Layers that methods share."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm, linear

from mtlbench.methods.base import NetworkConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}

ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
WORTH_ONEDNN = 2**23
"""Multiplications from which on oneDNN's start of some 10 us is made good."""
VECTOR = 16
"""Single-precision numbers in a vector register."""


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


class BatchNorm(nn.Module):
    """Batch normalisation over (batch, width), written so that replicas stack.

    Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2. The running mean and variance are
    plain buffers, which `torch.func.vmap` updates in place a replica each; `nn.BatchNorm1d` also counts its
    batches, and refuses a batch of one row, which here is normalised to 0 and leaves them as they are.
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
        """Normalise by the batch in training, by the running figures in scoring."""
        x = x.to(self.weight.dtype)  # figures over a batch are single, whatever the products are
        if self.training and len(x) == 1:
            return (x - x) * self.weight + self.bias
        figures = self.mean, self.variance, self.weight, self.bias
        return batch_norm(x, *figures, self.training, self.momentum, self.epsilon)


class _Affine(torch.autograd.Function):
    """x W^T + b of (row, in) and (out, in), large, by what multiplies fastest on a CPU.

    That is oneDNN: on a CPU that is no Intel, MKL, which torch takes, is up to a half slower.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t(), None) if of_x else None,
            _between(gradient, x) if of_weight else None,
            gradient.sum(dim=0) if of_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _between(gradient: Tensor, x: Tensor) -> Tensor:
    """gradient^T x, the long way round where only so the rows that are written have whole vectors."""
    if x.shape[1] % VECTOR == 0 or gradient.shape[1] % VECTOR:
        return gradient.t() @ x
    return (x.t() @ gradient).t().contiguous()


class Linear(nn.Linear):
    """`nn.Linear`, whose large products are faster for a model alone on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        large = x.dim() == 2 and len(x) * self.weight.numel() >= WORTH_ONEDNN
        if not large or not ONEDNN or x.device.type != "cpu" or x.dtype != torch.float32 or _transformed():
            return linear(x, self.weight, self.bias)
        product: Tensor = _Affine.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return product


class Output(Linear):
    """The layer that a score comes from: in single precision, whatever is below it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def _transformed() -> bool:
    """Whether somebody else decides how things are multiplied: vmap, the compiler, autocast."""
    return (
        torch._C._are_functorch_transforms_active()
        or torch.compiler.is_compiling()
        or torch.is_autocast_enabled("cpu")
    )


def mlp(
    input_dim: int, dims: Sequence[int], config: NetworkConfig, outputs: int = 0, *, bare: bool = False
) -> nn.Sequential:
    """Hidden layers of widths `dims` (linear, norm, activation, dropout), then a linear layer of `outputs`.

    `bare` leaves norm and dropout away, as in a unit that weighs something.
    """
    layers: list[nn.Module] = []
    for width in dims:
        # Batch normalisation takes a bias away again: its gradient is noise, which Adam makes steps of.
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
    """In place where it can be: what is before it, a linear layer or a norm, does not need its own output."""
    return nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()
