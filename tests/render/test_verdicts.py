"""Tables too wide for the terminal."""

from importlib import import_module
from io import StringIO

import pytest
from rich.console import Console

from mtlbench.report.tables import Grid

verdicts = import_module("mtlbench.render.verdicts")  # the package has a function of that name


@pytest.mark.parametrize("width", [60, 80, 240])
def test_a_table_goes_on_below_and_no_number_is_cut(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Every cell stands there whole, and every part repeats what its rows are about."""
    console = Console(width=width, file=StringIO())
    monkeypatch.setattr(verdicts, "out", console)
    arms = [f"method-number-{i}" for i in range(9)]
    cells = [f"+0.0{i}31\n-0.1{i}22..+0.2{i}33" for i in range(9)]
    verdicts._show(Grid("wide", ["stratum", "task", *arms], [["1-4", "view", *cells]], keys=2))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(arm in text for arm in arms)
    assert all(line in text for cell in cells for line in cell.split("\n"))
    assert "…" not in text
    assert text.count("stratum") == text.count("view") == {60: 5, 80: 3, 240: 1}[width]
