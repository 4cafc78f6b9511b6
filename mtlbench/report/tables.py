"""The tables beside the verdicts as plain cells, for a terminal and for Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtlbench.config import arm_name
from mtlbench.report.words import (
    all_arms,
    baseline_values,
    families,
    figure,
    many_arms,
    many_clusters,
    span,
)

COST_HEADS = {
    "parameters": "parameters",
    "rows_per_second": "train rows/s",
    "wall_seconds": "wall seconds",
    "scored_per_second": "score rows/s",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: title, column heads, and rows of as many cells; the first `keys` columns identify a row."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    keys: int = 1


def own_peaks(document: Mapping[str, Any]) -> Grid:
    """Tabulate the gains of each arm at its own best checkpoint per task: a row per task, a column per arm.

    If there are many arms, each has a row instead.
    """
    arms = all_arms(document)
    rows = []
    for task in document["family"]["tasks"]:
        cells = {c["arm"]: c for c in document["comparisons"] if c["task"] == task}
        rows.append([task, *(_gain(cells[arm]["gain_best"], cells[arm]["interval_best"]) for arm in arms)])
    heads = ["task", *arms]
    if many_arms(document):
        heads, *rows = map(list, zip(heads, *rows, strict=True))
    return Grid("Each arm at its own best checkpoint for the task (no verdict)", heads, rows)


def by_arm(document: Mapping[str, Any], cell: Callable[[Mapping[str, Any]], str]) -> list[Grid]:
    """Tabulate the verdicts with one row per arm and one table per family; `cell` formats a comparison."""
    tasks, baseline = document["family"]["tasks"], document["family"]["baseline"]
    held = {(c["arm"], c["task"]): c for c in document["comparisons"]}
    grids = []
    for family in families(document):
        rows = [[arm, *(cell(held[arm, task]) for task in tasks)] for arm in family["arms"]]
        values = [baseline_values([held[arm, task] for arm in family["arms"]]) for task in tasks]
        first = [baseline, *(f"{', '.join(known)} {metric}" for metric, *known in values)]
        grids.append(Grid(f"Gain over {baseline}: {family['name']}", ["method", *tasks], [first, *rows]))
    return grids


def verdict_words(comparison: Mapping[str, Any]) -> str:
    """Format a verdict for a cell; a harm too small to matter is marked negligible."""
    if comparison["verdict"] == "NEGATIVE" and comparison["equivalent"]:
        return "NEGATIVE, negligible"
    return str(comparison["verdict"]).replace("_", " ")


def secondary(document: Mapping[str, Any]) -> Grid:
    """Tabulate figures that others report, one row per arm."""
    rows = []
    for summary in document["summaries"]:
        s = summary["secondary"]
        rows.append(
            [
                summary["arm"],
                _number(s["delta_m"], "+.2f"),
                _number(s["mean_gain"], "+.1f"),
                f"{s['worst_task']} {_number(s['worst_gain'], '+.1f')}" if s["worst_task"] else "?",
                f"{len(s['harmed_tasks'])} of {len(document['family']['tasks'])}",
                _percent(s["relative_improvement"]),
                _number(s["share_of_seeds_gaining"], ".0%"),
            ]
        )
    heads = ["method", "Delta_m %", "mean gain", "worst task", "harmed", "RelaImpr %", "P(gain > 0)"]
    return Grid("Secondary figures (never the verdict)", heads, rows)


SECONDARY_LEGEND = (
    "Delta_m: mean over tasks of the relative change of the metric, higher is better. Gains in units of the "
    "smallest effect that matters. RelaImpr: relative change of AUC - 0.5. P: share of seeds whose mean gain "
    "is above 0."
)


COSTS_LEGEND = (
    "Time is what it was, beside whatever else the machine did: it tells a factor of two, not a tenth. "
    "`mtlbench bench balancers` times steps side by side."
)


def costs(document: Mapping[str, Any]) -> Grid:
    """Tabulate what each method costs, relative to all models of the baseline together.

    A cost that no result has (older ones lack some) has no column.
    """
    baseline, summaries = document["family"]["baseline"], document["summaries"]
    known = [c for c in COST_HEADS if any(s["costs"][c]["method"] is not None for s in summaries)]
    rows = []
    if len({str(s["costs"]["parameters"]["baseline"]) for s in summaries}) == 1:
        single = summaries[0]["costs"]
        rows.append([f"{baseline}, sum", *(_cost(c, single[c]["baseline"]) for c in known)])
    for summary in summaries:
        mine = [(cost, summary["costs"][cost]) for cost in known]
        cells = (f"{_cost(cost, c['method'])} ({_number(c['ratio'], '.2f')}x)" for cost, c in mine)
        rows.append([summary["arm"], *cells])
    return Grid(
        f"Cost per seed (ratio to the sum of the {baseline} models)",
        ["method", *(COST_HEADS[cost] for cost in known)],
        rows,
    )


def _cost(cost: str, value: float | None) -> str:
    """Format a cost; large rates in thousands, since times are no more exact than that."""
    if value is not None and cost.endswith("_per_second") and value >= 10_000:
        return f"{value / 1000:,.0f}k"
    return _number(value, ",.1f" if cost == "wall_seconds" else ",.0f")


def metrics(document: Mapping[str, Any]) -> Grid:
    """Tabulate the test metrics, mean over seeds, for when there is nothing to compare with.

    The points of a frontier are left out: they have a table of their own.
    """
    points = {frontier["balancer"] for frontier in document["frontiers"]}
    runs = [run for run in document["runs"] if run["metrics"] and run["balancer"] not in points]
    arms = list(dict.fromkeys((run["method"], run["balancer"]) for run in runs))
    rows = []
    for task in document["tasks"]:
        metric = "r2" if task["kind"] == "regression" else "auc"
        row = [task["name"]]
        for arm in arms:
            mine = [run for run in runs if (run["method"], run["balancer"]) == arm]
            values = [run["metrics"]["test"][task["name"]][metric] for run in mine]
            known = [value for value in values if value is not None]
            row.append(f"{sum(known) / len(known):.4f} {metric.upper()}" if known else "undefined")
        rows.append(row)
    names = [arm_name(*arm) for arm in arms]
    return Grid("Test metrics, mean over seeds (nothing to compare with)", ["task", *names], rows)


def strata(document: Mapping[str, Any]) -> list[Grid]:
    """Return one table per partition of the rows; one row per stratum and task, one column per arm."""
    found, arms = document["strata"], all_arms(document)
    cells = found["cells"]
    grids = []
    for of in dict.fromkeys(c["of"] for c in cells):
        held = {(c["stratum"], c["task"], c["arm"]): c for c in cells if c["of"] == of}
        rows = []
        for stratum, task in dict.fromkeys((s, t) for s, t, _ in held):
            mine = [held[stratum, task, arm] for arm in arms]
            rows.append([stratum, f"{max(c['clusters'] for c in mine):,}", task, *map(_explored, mine)])
        title = f"EXPLORATORY: gain over {document['family']['baseline']} by {of}"
        grids.append(Grid(title, [of.split()[-1], many_clusters(document), "task", *arms], rows, keys=3))
    return grids


def _explored(cell: Mapping[str, Any]) -> str:
    if cell["gain"] is None:
        return "undefined"
    call = {"EXPLORATORY POSITIVE": "\ngains", "EXPLORATORY NEGATIVE": "\nloses"}.get(cell["call"] or "", "")
    return _gain(cell["gain"], cell["interval"]) + call + ("\ntoo few" if cell["reason"] else "")


def _gain(gain: float | None, interval: Iterable[float] | None) -> str:
    return figure(gain, sign=True) + (f"\n{span(interval)}" if interval else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _number(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)
