"""Large products of matrices on a CPU, by what multiplies fastest there.

Torch takes MKL. On the processors of MKL's maker nothing is faster; elsewhere oneDNN is, by up to a half.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from mtlbench.devices import processor

ONEDNN: bool = torch.backends.mkldnn.is_available() and "Intel" not in processor()  # type: ignore[no-untyped-call]
"""Whether to ask oneDNN; else torch."""
WORTH = 2**23
"""Multiplications from which on some 10 us of Python, and oneDNN's start, are made good."""
VECTOR = 16
"""Single-precision numbers in a vector register."""


def chosen(x: Tensor, weight: Tensor) -> bool:
    """Whether x W^T of (row, in) and (out, in) is for us to multiply, and large enough."""
    large = x.dim() == 2 and len(x) * weight.numel() >= WORTH
    return large and here(x)


def here(x: Tensor) -> bool:
    """Whether that is a CPU, and nobody else decides how it multiplies: vmap, the compiler, autocast."""
    return (
        not torch.compiler.is_compiling()  # first: it follows none of the rest
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch._C._are_functorch_transforms_active()
        and not torch.is_autocast_enabled("cpu")
    )


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b of (row, in) and (out, in)."""
    made: Tensor = _Affine.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return made


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.t()) if of_x else None,
            between(gradient, x) if of_weight else None,
            gradient.sum(dim=0) if of_bias else None,
        )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b; neither may be a part of another matrix's columns, which oneDNN crawls through."""
    if not ONEDNN or x.dtype != torch.float32:  # oneDNN has no other
        return linear(x, weight, bias)
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return made


def between(gradient: Tensor, x: Tensor) -> Tensor:
    """gradient^T x, of (row, out) and (row, in), contiguous."""
    wide, whole_vectors = x.shape[1] >= 2 * gradient.shape[1], x.shape[1] % VECTOR == 0
    if ONEDNN and wide:  # to lay the thin one out anew is made good by it
        return product(gradient.t().contiguous(), x.t())
    if whole_vectors or gradient.shape[1] % VECTOR:
        return gradient.t() @ x
    return (x.t() @ gradient).t().contiguous()
