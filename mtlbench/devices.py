"""Devices and their names, stored in every result since the last digits of its numbers depend on them."""

import os
import platform
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from mtlbench.errors import UsageError


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor with its number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({processor()}, {os.cpu_count()} cores)"


@cache
def processor() -> str:
    """Return the processor's model name, such as `AMD EPYC 7763 64-Core Processor`; else its architecture.

    A virtual machine may leave the model's number out of the name. Family and model then stand for it: `AMD
    EPYC, family 26, model 2`.
    """
    said: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            said.setdefault(key.strip(), value.strip())
    name = said.get("model name")
    if not name:
        return platform.processor() or platform.machine()
    if re.search(r"\d{3}", name) or "cpu family" not in said:
        return name
    return f"{name}, family {said['cpu family']}, model {said.get('model', 'unknown')}"


def pick_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; `auto` takes a GPU if there is one.

    Raises:
        UsageError: CUDA was asked for and is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: this machine has no CUDA device, or torch was built without CUDA "
            f"(torch {torch.__version__}). Use --device cpu, or leave --device away."
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
