"""The main tables: verdicts, costs, and what to know before believing them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mtlbench.render.console import out
from mtlbench.report import (
    all_arms,
    baseline_values,
    cell_legend,
    figure,
    legend,
    many_arms,
    many_clusters,
    needs,
    remarks,
    span,
)
from mtlbench.report.answer import answer
from mtlbench.report.frontiers import frontiers
from mtlbench.report.tables import (
    SECONDARY_LEGEND,
    Grid,
    by_arm,
    costs,
    metrics,
    secondary,
    strata,
    verdict_words,
)
from mtlbench.report.words import peaks_elsewhere

STYLES = {
    "POSITIVE": "bold green",
    "NEGATIVE": "bold red",
    "EQUIVALENT": "cyan",
    "INCONCLUSIVE": "yellow",
    "gains": "green",
    "loses": "red",
}


def shard(document: Mapping[str, Any]) -> None:
    """Print what became of one shard of the runs."""
    number, shards = document["shard"]
    statuses = Counter(run["status"] for run in document["runs"])
    counted = ", ".join(f"{count} {status}" for status, count in statuses.items()) or "none"
    out.print(f"Part {number} of {shards} on {escape(str(document['dataset']))}: runs {counted}.")
    out.print("When all parts are done, the same command without --shard trains nothing and compares.")


def verdicts(document: Mapping[str, Any]) -> None:
    """Print the main table, one row per task and one column per method; then costs and remarks."""
    if any(c["gain"] is not None for c in document["comparisons"]):
        if many_arms(document):
            for grid in by_arm(document, lambda c: f"{figure(c['gain'], sign=True)} {verdict_words(c)}"):
                _show(grid)
        else:
            _show_verdicts(document)
        for line in (*answer(document), "", *legend(document), *cell_legend(document)):
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
    arms, baseline = all_arms(document), document["family"]["baseline"]
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    _title(f"Gain over {baseline} on {document['dataset']}{simulated}")
    tasks, clusters = document["family"]["tasks"], many_clusters(document)
    held = {(c["task"], c["arm"]): c for c in document["comparisons"]}
    cells = {key: _cell(comparison, clusters) for key, comparison in held.items()}
    first = {task: "\n".join(baseline_values([held[task, arm] for arm in arms])) for task in tasks}
    widths = [max(len(arm), *(_width(cells[task, arm]) for task in tasks)) for arm in arms]
    fixed = max(map(len, ("task", *tasks))), max(len(baseline), *(_width(Text(t)) for t in first.values()))
    for some in _side_by_side(widths, out.width - sum(fixed) - 3 * len(fixed) - 1):
        table = Table(show_lines=True)
        table.add_column("task", style="bold", no_wrap=True)
        table.add_column(baseline, justify="right")
        for i in some:
            table.add_column(arms[i], justify="right")
        for task in tasks:
            table.add_row(task, first[task], *(cells[task, arms[i]] for i in some))
        out.print(table)


def _width(text: Text) -> int:
    return max(map(len, text.plain.split("\n")))


def _side_by_side(widths: Sequence[int], room: int, gap: int = 3) -> list[list[int]]:
    """Split columns into tables so that none is cut: as many as fit `room`, with a border of `gap` each."""
    tables: list[list[int]] = []
    left = -1
    for i, width in enumerate(widths):
        if left < width + gap:
            tables.append([])
            left = room
        tables[-1].append(i)
        left -= width + gap
    return tables


def _cell(comparison: Mapping[str, Any], clusters: str) -> Text:
    """Format gain, interval, verdict and what would decide it; on simulated data what was planted."""
    verdict = comparison["verdict"]
    parts = [figure(comparison["gain"], sign=True)]
    if comparison["interval"]:
        parts.append(span(comparison["interval"]))
    after = needs(comparison, clusters)
    if peaks_elsewhere(comparison):
        after.append(f"own peak {figure(comparison['gain_best'], sign=True)}")
    if "truth" in comparison:
        after.append(f"truth: {comparison['truth']}")
    text = Text("\n".join(parts))
    words = verdict_words(comparison).replace(", ", ",\n")
    text.append(f"\n{words}", STYLES.get(verdict, "dim"))
    return text.append("".join(f"\n{line}" for line in after), "dim")


def _show(grid: Grid) -> None:
    """Print a table under its title, with rules between rows if cells have several lines."""
    tall = any("\n" in cell for row in grid.rows for cell in row)
    columns = zip(grid.heads, *grid.rows, strict=True)
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    fixed, gap = widths[: grid.keys], 3 if tall else 1
    _title(grid.title)
    for some in _side_by_side(widths[grid.keys :], out.width - sum(fixed) - gap * len(fixed) - 1, gap):
        table = Table(show_lines=True) if tall else Table(box=None, pad_edge=False)
        shown = [*range(grid.keys), *(grid.keys + i for i in some)]
        for i in shown:
            table.add_column(grid.heads[i], justify="right" if i else "left", style="" if i else "bold")
        for row in grid.rows:
            table.add_row(*(_coloured(row[i]) for i in shown))
        out.print(table)


def _title(text: str) -> None:
    """Print a title above a table, not in it: Rich would wrap it to the width of a narrow table."""
    out.print(f"\n[bold]{escape(text)}[/bold]")


def _coloured(cell: str) -> Text:
    *before, last = cell.split("\n")
    return Text.assemble(*(f"{line}\n" for line in before), (last, STYLES.get(last.split(" ")[-1], "")))
