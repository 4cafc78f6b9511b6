"""What computes, by name: a part of every result, since the last digits of its numbers depend on it."""

import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from mtlbench.errors import UsageError


def device_name(device: torch.device) -> str:
    """What the numbers were computed on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({processor()}, {os.cpu_count()} cores)"


@cache
def processor() -> str:
    """The processor as it calls itself, such as `AMD EPYC 7763 64-Core Processor`; else its kind alone."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def pick_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: this machine has no CUDA device, or torch was built without CUDA "
            f"(torch {torch.__version__}). Use --device cpu, or leave --device away."
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
