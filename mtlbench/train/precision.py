"""Precision of matrix products. Parameters, losses, scores and the optimiser's moments are always single.

    fp32   single precision
    tf32   single, with factors rounded to 10 bits, as a CUDA device's tensor cores take them; not on a CPU
    bf16   factors and activations of 8 bits, sums in single (torch.autocast): a CUDA device, or a CPU that
           supports it in hardware

The layer that produces a score is always single: an 8-bit score has ties, and ties cost AUC.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from mtlbench.config import Precision
from mtlbench.errors import UsageError


def check(precision: Precision, device: torch.device) -> None:
    """Check that the device supports the precision.

    Raises:
        UsageError: it does not.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("precision = tf32 is for a CUDA device, and this is a CPU: take fp32 or bf16.")


def forward(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context for the forward pass; the backward pass follows it by itself."""
    bf16 = precision == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16, cache_enabled=False)


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Set the precision of single-precision matrix products within the block, forward and backward."""
    before = torch.get_float32_matmul_precision()
    bf16_sums = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = bf16_sums
