"""The verdicts as Markdown."""

from collections.abc import Mapping
from typing import Any

from mtlbench.report.words import figure, legend


def markdown(document: Mapping[str, Any]) -> str:
    """The verdicts as a Markdown table, a row a task, a column a method."""
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    lines = [f"# {document['dataset']}{simulated}", "", f"Fingerprint `{document['fingerprint']}`.", ""]
    arms = document["family"]["arms"]
    if arms:
        lines.append(_row("task", document["family"]["baseline"], *arms))
        lines.append(_row("---", *["---:"] * (len(arms) + 1)))
        for task in document["family"]["tasks"]:
            cells = {c["arm"]: c for c in document["comparisons"] if c["task"] == task}
            first = cells[arms[0]]
            base = f"{first['metric'].upper()} {figure(first['baseline_value'])}"
            lines.append(_row(task, base, *(_cell(cells[arm]) for arm in arms)))
        lines += ["", *legend(document)]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(comparison: Mapping[str, Any]) -> str:
    truth = f" (truth: {comparison['truth']})" if "truth" in comparison else ""
    interval = "..".join(figure(end, sign=True) for end in comparison["interval"] or ())
    return f"{figure(comparison['gain'], sign=True)} [{interval}] {comparison['verdict']}{truth}"
