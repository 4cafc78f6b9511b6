"""What computes, by name: a part of every result, since the last digits of its numbers depend on it."""

import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch


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
