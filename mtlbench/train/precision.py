"""In what matrix products are made. Parameters, losses, scores and the optimiser's moments are single always.

    fp32   single precision
    tf32   single, with factors rounded to 10 bits: what a CUDA device's tensor cores take; not on a CPU
    bf16   factors and activations of 8 bits, sums in single (torch.autocast): a CUDA device, or a CPU that
           multiplies it in hardware

The layer that a score comes from is single in all of them: a score of 8 bits has ties, and ties cost AUC.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from mtlbench.config import Precision
from mtlbench.errors import UsageError


def check(precision: Precision, device: torch.device) -> None:
    """Look whether the device has it.

    Raises:
        UsageError: it does not.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("precision = tf32 is for a CUDA device, and this is a CPU: take fp32 or bf16.")


def forward(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """For what is computed forward; backward follows it by itself."""
    bf16 = precision == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16, cache_enabled=False)


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """For all that multiplies single-precision matrices, forward and backward."""
    before = torch.get_float32_matmul_precision()
    bf16_sums = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = bf16_sums
