"""A model alone that multiplies its embeddings once an id, which small models are too small for."""

import pytest

from mtlbench.methods import joined, products
from mtlbench.train import optimiser, stack


def once_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be multiplied once an id is, of tables that are stepped by rows."""
    monkeypatch.setattr(optimiser, "SMALL", 0)
    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(joined, "FEW", 10.0)
    monkeypatch.setattr(joined, "PAYS", -100)
    monkeypatch.setattr(stack, "WIDE", 1)
