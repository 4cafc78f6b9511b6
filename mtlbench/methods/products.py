"""Large matrix products on a CPU, by the fastest library for the processor.

Torch uses MKL. On Intel processors nothing is faster; elsewhere oneDNN is, by up to a half.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from mtlbench.devices import processor

ONEDNN: bool = torch.backends.mkldnn.is_available() and "Intel" not in processor()  # type: ignore[no-untyped-call]
"""Whether to multiply with oneDNN instead of torch's default."""
WORTH = 2**23
"""Number of multiplications above which the overhead, about 10 us of Python and oneDNN's start, pays off."""
VECTOR = 16
"""Number of single-precision values in a vector register."""


def chosen(x: Tensor, weight: Tensor) -> bool:
    """Return whether `affine` should compute x W^T of (row, in) and (out, in): large, and `here` holds."""
    large = x.dim() == 2 and len(x) * weight.numel() >= WORTH
    return large and here(x)


def here(x: Tensor) -> bool:
    """Return whether `x` is on a CPU, outside of vmap, the compiler and autocast."""
    return (
        not torch.compiler.is_compiling()  # first: the compiler cannot trace the other conditions
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and not torch._C._are_functorch_transforms_active()
        and not torch.is_autocast_enabled("cpu")
    )


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W^T + b, for x (row, in) and W (out, in)."""
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
    """Return x W^T + b; neither factor may be a column slice of a matrix, on which oneDNN is very slow."""
    if not ONEDNN or x.dtype != torch.float32:  # oneDNN supports no other type here
        return linear(x, weight, bias)
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return made


def between(gradient: Tensor, x: Tensor) -> Tensor:
    """Return gradient^T x, contiguous, for gradient (row, out) and x (row, in)."""
    wide, whole_vectors = x.shape[1] >= 2 * gradient.shape[1], x.shape[1] % VECTOR == 0
    if ONEDNN and wide:  # oneDNN makes up for copying the thin factor
        return product(gradient.t().contiguous(), x.t())
    if whole_vectors or gradient.shape[1] % VECTOR:
        return gradient.t() @ x
    return (x.t() @ gradient).t().contiguous()
