"""The tables that the tool exists for: verdicts, costs, and what to know before believing them."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mtlbench.render.console import out
from mtlbench.report import figure, legend, remarks
from mtlbench.schema import Task

STYLES = {"POSITIVE": "bold green", "NEGATIVE": "bold red", "EQUIVALENT": "cyan", "INCONCLUSIVE": "yellow"}


def verdicts(document: Mapping[str, Any]) -> None:
    """The table that the tool exists for, a row a task, a column a method; then what it cost."""
    if document["comparisons"]:
        out.print(_verdict_table(document))
        for line in legend(document):
            out.print(escape(line))
        out.print(_cost_table(document))
    else:
        out.print(_metric_table(document))
    for line in remarks(document):
        out.print(f"[yellow]Note:[/yellow] {escape(line)}")


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['dataset']}{' (SIMULATED data)' if document['simulated'] else ''}"


def _verdict_table(document: Mapping[str, Any]) -> Table:
    comparisons = document["comparisons"]
    arms = document["family"]["arms"]
    table = Table(title=f"Gain over {document['family']['baseline']} on {_title(document)}", show_lines=True)
    table.add_column("task", style="bold", no_wrap=True)
    table.add_column(document["family"]["baseline"], justify="right")
    for arm in arms:
        table.add_column(arm, justify="right")
    for task in document["family"]["tasks"]:
        cells = {c["arm"]: c for c in comparisons if c["task"] == task}
        first = cells[arms[0]]
        table.add_row(
            task,
            f"{first['metric'].upper()}\n{figure(first['baseline_value'])}",
            *(_cell(cells[a]) for a in arms),
        )
    return table


def _cell(comparison: Mapping[str, Any]) -> Text:
    """Gain, interval, verdict; on simulated data what was planted."""
    verdict = comparison["verdict"]
    lines = [verdict.replace("_", " ")]
    if verdict == "NEGATIVE" and comparison["equivalent"]:
        lines = ["NEGATIVE,", "negligible"]
    if "truth" in comparison:
        lines.append(f"truth: {comparison['truth']}")
    figures = figure(comparison["gain"], sign=True)
    if comparison["interval"]:
        low, high = comparison["interval"]
        figures += f"\n{figure(low, sign=True)}..{figure(high, sign=True)}"
    return Text.assemble(figures, "\n", ("\n".join(lines), STYLES.get(verdict, "dim")))


def _cost_table(document: Mapping[str, Any]) -> Table:
    """What each method costs, against the sum of the single-task models."""
    table = Table(title="Cost a seed (ratio to the sum of the single-task models)", box=None, pad_edge=False)
    table.add_column("method", style="bold")
    for head in ("parameters", "rows/s", "wall seconds"):
        table.add_column(head, justify="right")
    kinds = (("parameters", ",.0f"), ("rows_per_second", ",.0f"), ("wall_seconds", ",.1f"))
    single = next((s["costs"] for s in document["summaries"] if s["costs"]), None)
    if single is not None:
        cells = (_cost(single[kind]["baseline"], form) for kind, form in kinds)
        table.add_row(f"{document['family']['baseline']}, sum", *cells)
    for summary in document["summaries"]:
        costs = [(summary["costs"][kind], form) for kind, form in kinds]
        cells = (f"{_cost(c['method'], form)} ({_cost(c['ratio'], '.2f')}x)" for c, form in costs)
        table.add_row(summary["arm"], *cells)
    return table


def _cost(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def _metric_table(document: Mapping[str, Any]) -> Table:
    """Where there is nothing to compare with: the test metrics, mean over seeds."""
    runs = [run for run in document["runs"] if run["status"] != "failed"]
    table = Table(title=f"Test metrics on {_title(document)}, mean over seeds (nothing to compare with)")
    table.add_column("task", style="bold")
    methods = list(dict.fromkeys((run["method"], run["balancer"]) for run in runs))
    for method, balancer in methods:
        table.add_column(method if balancer == "equal" else f"{method} + {balancer}", justify="right")
    for task in document["tasks"]:
        metric = Task(**task).metric
        row = []
        for arm in methods:
            mine = [
                r["metrics"]["test"][task["name"]][metric]
                for r in runs
                if (r["method"], r["balancer"]) == arm
            ]
            known = [value for value in mine if value is not None]
            row.append(f"{sum(known) / len(known):.4f} {metric.upper()}" if known else "undefined")
        table.add_row(task["name"], *row)
    return table
