"""What computes has a name."""

import os
import platform
from pathlib import Path

import pytest
import torch

from mtlbench import devices
from mtlbench.errors import UsageError


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC: 64-Core\n\nmodel name\t: another\n", "AMD EPYC: 64-Core"),
        ("cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n", "AMD EPYC, family 26, model 2"),
        ("cpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\n", "AMD EPYC 7763"),
        ("processor\t: 0\nmodel name\t:\nFeatures\t: fp asimd\n", "of its kind"),
        (None, "of its kind"),
    ],
)
def test_a_processor_is_called_as_it_calls_itself_or_by_its_kind(
    told: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Linux tells it for x86, for ARM, and where nobody tells."""

    def read(_: Path, **how: str) -> str:
        if told is None:
            raise FileNotFoundError
        return told

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "of its kind")
    devices.processor.cache_clear()
    try:
        assert devices.processor() == name
        assert devices.device_name(torch.device("cpu")) == f"cpu ({name}, {os.cpu_count()} cores)"
    finally:
        devices.processor.cache_clear()


def test_cuda_asked_for_and_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.pick_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="no CUDA device"):
        devices.pick_device("cuda")
