"""The tables that the tool exists for: verdicts, costs, and what to know before believing them."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mtlbench.render.console import out
from mtlbench.report import baseline_values, cell_legend, figure, legend, many_clusters, needs, remarks, span
from mtlbench.report.frontiers import frontiers
from mtlbench.report.tables import SECONDARY_LEGEND, Grid, costs, metrics, secondary, strata

STYLES = {
    "POSITIVE": "bold green",
    "NEGATIVE": "bold red",
    "EQUIVALENT": "cyan",
    "INCONCLUSIVE": "yellow",
    "gains": "green",
    "loses": "red",
}


def verdicts(document: Mapping[str, Any]) -> None:
    """The table that the tool exists for, a row a task, a column a method; then what it cost."""
    if any(c["gain"] is not None for c in document["comparisons"]):
        _show_verdicts(document)
        for line in (*legend(document), *cell_legend(document)):
            out.print(escape(line))
        for grid in strata(document) if "strata" in document else ():
            _show(grid)
        _show(secondary(document))
        out.print(SECONDARY_LEGEND, style="dim")
        _show(costs(document))
    elif len((grid := metrics(document)).heads) > 1:
        _show(grid)
    for grid, lines in frontiers(document):
        _show(grid)
        for line in lines:
            out.print(escape(line))
    for line in remarks(document):
        out.print(f"[yellow]Note:[/yellow] {escape(line)}")


def _show_verdicts(document: Mapping[str, Any]) -> None:
    arms, baseline = document["family"]["arms"], document["family"]["baseline"]
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    _title(f"Gain over {baseline} on {document['dataset']}{simulated}")
    table = Table(show_lines=True)
    table.add_column("task", style="bold", no_wrap=True)
    table.add_column(baseline, justify="right")
    for arm in arms:
        table.add_column(arm, justify="right")
    for task in document["family"]["tasks"]:
        cells = {c["arm"]: c for c in document["comparisons"] if c["task"] == task}
        table.add_row(
            task,
            "\n".join(baseline_values(cells.values())),
            *(_cell(cells[a], many_clusters(document)) for a in arms),
        )
    out.print(table)


def _cell(comparison: Mapping[str, Any], clusters: str) -> Text:
    """Gain, interval, verdict and what would decide it; on simulated data what was planted."""
    verdict = comparison["verdict"]
    lines = [verdict.replace("_", " ")]
    if verdict == "NEGATIVE" and comparison["equivalent"]:
        lines = ["NEGATIVE,", "negligible"]
    parts = [figure(comparison["gain"], sign=True)]
    if comparison["interval"]:
        parts.append(span(comparison["interval"]))
    after = needs(comparison, clusters)
    if comparison["gain_best"] not in (None, comparison["gain"]):
        after.append(f"own peak {figure(comparison['gain_best'], sign=True)}")
    if "truth" in comparison:
        after.append(f"truth: {comparison['truth']}")
    text = Text("\n".join(parts))
    text.append("\n" + "\n".join(lines), STYLES.get(verdict, "dim"))
    return text.append("".join(f"\n{line}" for line in after), "dim")


def _show(grid: Grid) -> None:
    """A table under its title, with lines between rows where cells have several."""
    tall = any("\n" in cell for row in grid.rows for cell in row)
    table = Table(show_lines=True) if tall else Table(box=None, pad_edge=False)
    for i, head in enumerate(grid.heads):
        table.add_column(head, justify="right" if i else "left", style="" if i else "bold")
    for row in grid.rows:
        table.add_row(*map(_coloured, row))
    _title(grid.title)
    out.print(table)


def _title(text: str) -> None:
    """Above a table, not in it: Rich would break it to the width of a narrow one."""
    out.print(f"\n[bold]{escape(text)}[/bold]")


def _coloured(cell: str) -> Text:
    *before, last = cell.split("\n")
    return Text.assemble(*(f"{line}\n" for line in before), (last, STYLES.get(last, "")))
