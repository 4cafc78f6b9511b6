"""What happened inside a run, in a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from mtlbench.inspection.text import cost, runs, sections, title
from mtlbench.render.console import out


def inspection(document: Mapping[str, Any]) -> None:
    """Print curves, gates, matrices, dead units and cost, where there are any."""
    out.print(f"[bold]{escape(title(document))}[/bold]")
    for grid, line in sections(document):
        table = Table(box=None, pad_edge=False)
        for i, head in enumerate(grid.heads):
            table.add_column(escape(head), justify="right" if i >= grid.keys else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*map(escape, row))
        out.print(f"\n[bold]{escape(grid.title)}[/bold]")
        out.print(table)
        if line:
            out.print(escape(line), style="dim")
    out.print()
    for line in filter(None, (cost(document), runs(document))):
        out.print(escape(line))
