"""What happened inside a run as plain tables and lines: sparklines, bars and matrices, where available."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mtlbench.config import arm_name
from mtlbench.report.tables import Grid

TICKS = "▁▂▃▄▅▆▇█"
BAR_WIDTH = 12
LISTED_PARTS = 8


def title(document: Mapping[str, Any]) -> str:
    """Return a title such as: mmoe + pcgrad on shop (SIMULATED data), mean of seeds 0 1 2."""
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    seeds = document["seeds"]
    which = f"seed {seeds[0]}" if len(seeds) == 1 else f"mean of seeds {' '.join(map(str, seeds))}"
    name = arm_name(document["method"], document["balancer"])
    return f"{name} on {document['dataset']}{simulated}, {which}"


def sections(document: Mapping[str, Any]) -> Iterator[tuple[Grid, str]]:
    """Yield each table with the line that says how to read it."""
    tasks, state = document["tasks"], document["state"]
    if any(curve["steps"] for curve in document["curves"].values()):
        yield _curves(document), "Left to right: the evaluations of training."
    if gates := state.get("gates"):
        says = (
            "Mean share of each expert, - of those that a task cannot see. Entropy: 1 all seen alike, 0 one."
        )
        if len(document["seeds"]) > 1:
            says += " An expert's number means nothing across seeds, so shares even out: give one run's hash."
        yield _utilisation(gates), says
        if len(tasks) > 1:
            says = "1: two tasks gate alike on every row; 0: they never use an expert in common."
            yield matrix("Similarity of gates", tasks, gates["similarity"], ".2f"), says
    for name, values in state.get("task_matrices", {}).items():
        yield matrix(f"Matrix {name}", _axis(tasks, values), values, "+.3f"), "Row: to; column: from."
    if between := document["between_tasks"]:
        yield from _between_tasks(tasks, between)
    if dead := state.get("dead_units"):
        worst = sorted(dead["parts"].items(), key=lambda part: -part[1])
        rows = [[name, bar(share), f"{share:.0%}"] for name, share in worst[:LISTED_PARTS] if share]
        if rows:
            title_ = f"Dead units, {dead['share']:.1%} of {dead['units']:,.0f}"
            more = len([share for _, share in worst if share]) - len(rows)
            says = f"And {more} networks more." if more else ""
            yield Grid(title_, ["network", "", "share"], rows, keys=2), says


def _between_tasks(tasks: Sequence[str], between: Mapping[str, Any]) -> Iterator[tuple[Grid, str]]:
    """Yield gradients and affinity, which are estimates, with what they rest on."""
    few = f"too few positives: {', '.join(between['few'])}" if between["few"] else ""
    for part, found in between["gradients"].items():
        norms = ", ".join(f"{task} {_number(norm, '.2g')}" for task, norm in found["norms"].items())
        shares = [_number(found[name], ".0%") for name in ("conflict_share_of_means", "conflict_share")]
        says = [
            f"Lengths: {norms}.",
            f"Pairs that point apart: {shares[0]} of these means, {shares[1]} in single looks.",
            estimates(between),
            *([f"No cosine, {few}."] if few else []),
        ]
        yield matrix(f"Cosines of task gradients, {part}", tasks, found["cosines"], "+.2f"), " ".join(says)
    grid = matrix("Affinity (TAG), in millionths", tasks, between["affinity"], "+,.1f", scale=1e6)
    says = [
        "By how much a step for the row's task alone lowers the loss of the column's.",
        estimates(between),
        *([f"None, {few}."] if few else []),
    ]
    yield grid, " ".join(says)


def estimates(between: Mapping[str, Any]) -> str:
    """Say what cosines and affinities were estimated from."""
    looks, rows = between["looks"], between["rows"]
    number = f"{looks} looks" if looks > 1 else "1 look"
    if rows is None:
        return f"Estimates, the mean of {number}, all of a seed at the same few rows."
    positives = ", ".join(f"{task} {_number(n, ',.0f')}" for task, n in between["positives"].items())
    return f"Estimates, the mean of {number} at {rows:,.0f} rows each (positives: {positives})."


def cost(document: Mapping[str, Any]) -> str:
    """Say what a seed cost; empty if unknown."""
    costs = document["costs"]
    parts = [f"{costs['parameters']:,.0f} parameters"] if costs["parameters"] else []
    if costs["train_rows"]:
        parts.append(f"{costs['train_rows']:,.0f} rows in {costs['train_seconds']:,.1f} s")
    return f"Cost per seed: {', '.join(parts)}." if parts else ""


def runs(document: Mapping[str, Any]) -> str:
    """Say which runs are shown."""
    pairs = zip(document["hashes"], document["seeds"], strict=True)
    return f"Runs: {', '.join(f'{name} (seed {seed})' for name, seed in pairs)}."


def _curves(document: Mapping[str, Any]) -> Grid:
    rows = []
    for task in document["tasks"]:
        curve = document["curves"][task]
        weights = [value for value in curve["task_weights"] if value is not None]
        rows.append(
            [
                task,
                document["metrics"][task].upper(),
                _course(curve["validation"], ".4f"),
                _course(curve["train_loss"], ".4f"),
                f"{weights[0]:.2f} to {weights[-1]:.2f}" if weights else "",
            ]
        )
    heads = ["task", "metric", "validation", "train loss", "weight"]
    return Grid("Learning curves", heads, rows, keys=2)


def _utilisation(gates: Mapping[str, Any]) -> Grid:
    experts = max(map(len, gates["utilisation"].values()))
    rows = []
    for task, shares in gates["utilisation"].items():
        bars = ("-" if share is None else f"{sparkline([0, share, 1])[1]} {share:.0%}" for share in shares)
        rows.append([task, _number(gates["entropy"][task], ".2f"), *bars])
    return Grid("Gates", ["task", "entropy", *(f"e{i}" for i in range(experts))], rows)


def matrix(
    name: str, axis: Sequence[str], values: Sequence[Sequence[Any]], form: str, scale: float = 1.0
) -> Grid:
    """Tabulate numbers between tasks, or between their parts."""
    rows = [
        [head, *(_number(None if value is None else scale * value, form) for value in row)]
        for head, row in zip(axis, values, strict=True)
    ]
    return Grid(name, ["", *axis], rows)


def _axis(tasks: Sequence[str], values: Sequence[Any]) -> list[str]:
    """Label a matrix between tasks, or between their parts, with the parts of a task side by side."""
    each, rest = divmod(len(values), len(tasks))
    if rest:
        return [str(i) for i in range(len(values))]
    return list(tasks) if each == 1 else [f"{task} {i}" for task in tasks for i in range(each)]


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character per value, scaled from the lowest to the highest; a space for a missing value."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    steps = (len(TICKS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else TICKS[round((value - low) * steps)] for value in values)


def bar(share: float) -> str:
    """Draw a share as part of a bar's width."""
    return "█" * round(share * BAR_WIDTH)


def _course(values: Sequence[float | None], form: str) -> str:
    """Format the first value, a sparkline and the last value."""
    known = [value for value in values if value is not None]
    return f"{known[0]:{form}} {sparkline(values)} {known[-1]:{form}}" if known else ""


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
