"""Training in double precision: Adam makes whole steps of what single precision rounds away."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from mtlbench.load import Split
from mtlbench.train.matrices import Layout, Matrices


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For what a test trains."""

    def doubled(split: Split, layout: Layout, device: torch.device) -> Matrices:
        made = of(split, layout, device)
        names = ("numeric", "labels", "group_numeric")
        return replace(made, **{name: getattr(made, name).double() for name in names})

    of = Matrices.of
    monkeypatch.setattr(Matrices, "of", doubled)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
