"""The tables that the tool exists for: verdicts, costs, and what to know before believing them."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mtlbench.render.console import out
from mtlbench.report import figure, legend, many_clusters, needs, remarks, span
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
        out.print(_verdict_table(document))
        for line in legend(document):
            out.print(escape(line))
        for grid in strata(document) if "strata" in document else ():
            out.print(_table(grid, lines=True))
        out.print(_table(secondary(document)))
        out.print(SECONDARY_LEGEND, style="dim")
        out.print(_table(costs(document)))
    elif any(run["metrics"] for run in document["runs"]):
        out.print(_table(metrics(document), lines=True))
    for line in remarks(document):
        out.print(f"[yellow]Note:[/yellow] {escape(line)}")


def _verdict_table(document: Mapping[str, Any]) -> Table:
    arms, baseline = document["family"]["arms"], document["family"]["baseline"]
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    table = Table(title=f"Gain over {baseline} on {document['dataset']}{simulated}", show_lines=True)
    table.add_column("task", style="bold", no_wrap=True)
    table.add_column(baseline, justify="right")
    for arm in arms:
        table.add_column(arm, justify="right")
    for task in document["family"]["tasks"]:
        cells = {c["arm"]: c for c in document["comparisons"] if c["task"] == task}
        first = cells[arms[0]]
        table.add_row(
            task,
            f"{first['metric'].upper()}\n{figure(first['baseline_value'])}",
            *(_cell(cells[a], many_clusters(document)) for a in arms),
        )
    return table


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


def _table(grid: Grid, lines: bool = False) -> Table:
    """A grid in Rich: with lines where cells have several."""
    table = (
        Table(title=grid.title, show_lines=lines)
        if lines
        else Table(title=grid.title, box=None, pad_edge=False)
    )
    for i, head in enumerate(grid.heads):
        table.add_column(head, justify="right" if i else "left", style="" if i else "bold")
    for row in grid.rows:
        table.add_row(*map(_coloured, row))
    return table


def _coloured(cell: str) -> Text:
    *before, last = cell.split("\n")
    return Text.assemble(*(f"{line}\n" for line in before), (last, STYLES.get(last, "")))
