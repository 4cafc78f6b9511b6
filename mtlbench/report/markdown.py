"""The verdicts as Markdown."""

from collections.abc import Iterable, Mapping
from typing import Any

from mtlbench.report.answer import answer
from mtlbench.report.frontiers import frontiers
from mtlbench.report.needs import needs, to_decide
from mtlbench.report.remarks import remarks
from mtlbench.report.tables import (
    COSTS_LEGEND,
    SECONDARY_LEGEND,
    Grid,
    by_arm,
    costs,
    own_peaks,
    secondary,
    strata,
)
from mtlbench.report.words import (
    all_arms,
    baseline_values,
    figure,
    legend,
    many_arms,
    many_clusters,
    span,
)


def markdown(document: Mapping[str, Any]) -> str:
    """Return the verdicts as Markdown tables, one row per task and one column per method, with remarks."""
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    lines = [f"# {document['dataset']}{simulated}", "", f"Fingerprint `{document['fingerprint']}`.", ""]
    if document["comparisons"]:
        heading, *methods = answer(document)
        lines += [f"**{heading}**", "", *(f"- {line.strip()}" for line in methods), ""]
        if many_arms(document):
            for grid in by_arm(document, lambda c: _cell(c) + _wanting(c, many_clusters(document))):
                lines += [f"## {grid.title}", "", *_table(grid)]
            lines += _paragraphs(legend(document))
        else:
            lines += _table(_verdicts(document))
            lines += [*_paragraphs(legend(document)), *_undecided(document)]
        for grid in (own_peaks(document), secondary(document)):
            lines += [f"## {grid.title}", "", *_table(grid)]
        lines += [SECONDARY_LEGEND, ""]
        lines += [f"## {(grid := costs(document)).title}", "", *_table(grid), COSTS_LEGEND, ""]
    for grid in strata(document) if "strata" in document else ():
        lines += [f"## {grid.title}", "", *_table(grid)]
    for grid, below in frontiers(document):
        lines += [f"## {grid.title}", "", *_table(grid), *_paragraphs(below)]
    lines += [f"- {line}" for line in remarks(document)]
    return "\n".join(lines).rstrip() + "\n"


def _verdicts(document: Mapping[str, Any]) -> Grid:
    arms = all_arms(document)
    rows = []
    for task in document["family"]["tasks"]:
        cells = {c["arm"]: c for c in document["comparisons"] if c["task"] == task}
        base = baseline_values(cells.values())
        rows.append([task, f"{base[0]} {', '.join(base[1:])}", *(_cell(cells[arm]) for arm in arms)])
    return Grid("", ["task", document["family"]["baseline"], *arms], rows)


def _cell(comparison: Mapping[str, Any]) -> str:
    truth = f" (truth: {comparison['truth']})" if "truth" in comparison else ""
    interval = span(comparison["interval"] or ())
    return f"{figure(comparison['gain'], sign=True)} [{interval}] {comparison['verdict']}{truth}"


def _wanting(comparison: Mapping[str, Any], clusters: str) -> str:
    """Say roughly what would decide an INCONCLUSIVE comparison; empty for other verdicts."""
    wanted = needs(comparison, clusters)
    return f" (wants {' '.join(wanted)})" if wanted else ""


def _undecided(document: Mapping[str, Any]) -> list[str]:
    """List what would decide each INCONCLUSIVE comparison; those that need the same are grouped."""
    wanting: dict[str, dict[str, list[str]]] = {}
    for c in document["comparisons"]:
        if sentence := to_decide(c, many_clusters(document)):
            wanting.setdefault(sentence, {}).setdefault(c["arm"], []).append(c["task"])
    if not wanting:
        return []
    lines = []
    for sentence, arms in wanting.items():
        members = "; ".join(f"{arm} on {', '.join(tasks)}" for arm, tasks in arms.items())
        lines.append(f"- {members}: {sentence}.")
    return ["What would decide the inconclusive, at the smallest effect that matters:", "", *lines, ""]


def _table(grid: Grid) -> list[str]:
    rows = (grid.heads, ["---", *["---:"] * (len(grid.heads) - 1)], *grid.rows)
    return [*(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |" for row in rows), ""]


def _paragraphs(lines: Iterable[str]) -> list[str]:
    return [*lines, ""]
