"""The fixed-weight frontiers as plain tables and lines, for a terminal and for Markdown."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mtlbench.report.needs import to_decide
from mtlbench.report.tables import Grid
from mtlbench.report.words import figure, many_clusters

ALL_SHOWN = 12
"""Most points that are all listed; of a larger frontier, only chosen and non-dominated points are."""


CHOSEN = "the static weights that validation chose"
SAYS = {
    "POSITIVE": "{arm} helps: on the mean of the tasks it beats {chosen} {figures}.",
    "NEGATIVE": "{arm} does worse on the mean of the tasks than {chosen} {figures}.",
    "EQUIVALENT": "{arm} does as well on the mean of the tasks as {chosen} {figures}: it saves the {trials} "
    "trials, and gains nothing beyond.",
    "INCONCLUSIVE": "{arm} is not shown to beat {chosen} {figures}. What would show the smallest mean gain "
    "that matters: {needed}.",
    "NO_VERDICT": "{arm} cannot be held against its frontier: {reason}.",
}
"""Verdict on the mean of the tasks -> sentence that says what it means."""


def frontiers(document: Mapping[str, Any]) -> Iterator[tuple[Grid, list[str]]]:
    """Yield every table of the document's frontiers with the lines below it."""
    for frontier in document["frontiers"]:
        yield _points(frontier), _about_points(frontier)
        if frontier["tests"]:
            yield _tests(frontier), _about_tests(frontier, many_clusters(document))


def _points(frontier: Mapping[str, Any]) -> Grid:
    """Tabulate the sets of weights, one per row: how validation judged each, and what each scored on test."""
    tasks = list(frontier["points"][0]["test"])
    best = max((p["criterion"] for p in frontier["points"] if p["criterion"] is not None), default=None)
    rows = []
    for point in _listed(frontier["points"]):
        marks = {"chosen": point["chosen"], "not dominated": point["non_dominated"]}
        weights = (f"{point['weights'].get(task, 1.0):.3g}" for task in tasks)
        known = point["criterion"] is not None and best is not None
        behind = f"{point['criterion'] - best:+.2f}" if known else "lacks seeds"
        scores = (figure(point["test"][task]) for task in tasks)
        rows.append([*weights, behind, *scores, ", ".join(mark for mark, holds in marks.items() if holds)])
    heads = [*(f"w {task}" for task in tasks), "validation", *(f"test {task}" for task in tasks), ""]
    return Grid(f"Fixed-weight frontier: {frontier['arm']}", heads, rows)


def _tests(frontier: Mapping[str, Any]) -> Grid:
    """Tabulate the gains over the chosen weights: one row per arm, one column per task, their mean last."""
    scopes = list(dict.fromkeys((test["scope"], test["task"]) for test in frontier["tests"]))
    rows = []
    for arm in dict.fromkeys(test["arm"] for test in frontier["tests"]):
        mine = {(t["scope"], t["task"]): t for t in frontier["tests"] if t["arm"] == arm}
        rows.append([arm, *(_cell(mine[scope]) for scope in scopes)])
    heads = ["method", *(task or "mean, in deltas" for _, task in scopes)]
    return Grid(f"Gain over the chosen weights of {frontier['arm']}", heads, rows)


def _about_points(frontier: Mapping[str, Any]) -> list[str]:
    """Explain the points: what was chosen and how, what it cost, how much the frontier covers."""
    number, costs = len(frontier["points"]), frontier["costs"]
    hidden = number - len(_listed(frontier["points"]))
    lines = [
        f"{number} sets of weights, {costs['runs']} runs, {_seconds(costs['wall_seconds'])} in all"
        + (f", {costs['ratio_to_chosen']:.1f} times the chosen one alone" if costs["ratio_to_chosen"] else "")
        + (f"; {hidden} dominated ones are not shown." if hidden else ".")
    ]
    if frontier["chosen"] is None:
        return [*lines, f"None was chosen: {frontier['reason']}."]
    lines.append(
        f"Validation chose {_weights(frontier['chosen']['weights'])} for all seeds, out of "
        f"{frontier['trials']}, by seeds that nothing is compared by ({len(frontier['tuning_seeds'])}). "
        "Column validation: mean over tasks of metric / delta, against the best."
    )
    volume = frontier["hypervolume"]
    if volume is not None:
        added = "".join(f"; with {arm} {value:,.3g}" for arm, value in volume["with"].items())
        lines.append(
            f"Hypervolume on test above {volume['reference_arm']}, in {volume['unit']}: "
            f"{volume['frontier']:,.3g}{added} (descriptive, no test)."
        )
    return lines


def _about_tests(frontier: Mapping[str, Any], clusters: str) -> list[str]:
    """Explain how the tests were judged, and what each mean says."""
    first = frontier["tests"][0]
    return [
        f"A family of its own: {first['family_size']} frontier tests, Holm, alpha {first['alpha']:g}. A "
        "balancer helps only if its mean is POSITIVE here; better than equal weights is not enough.",
        *(_says(t, frontier["trials"], clusters) for t in frontier["tests"] if t["scope"] == "mean"),
    ]


def _says(test: Mapping[str, Any], trials: int, clusters: str) -> str:
    gain, (low, high) = test["gain"], test["interval"] or (math.nan, math.nan)
    return SAYS[test["verdict"]].format(
        arm=test["arm"],
        chosen=CHOSEN,
        figures="" if gain is None else f"({gain:+.2f} deltas, {low:+.2f}..{high:+.2f})",
        trials=trials,
        needed=to_decide(test, clusters),
        reason=test.get("reason"),
    )


def _listed(every: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [p for p in every if len(every) <= ALL_SHOWN or p["chosen"] or p["non_dominated"]]


def _cell(test: Mapping[str, Any]) -> str:
    """Format gain, interval and verdict; the mean is in deltas, to two places."""

    def number(value: float | None) -> str:
        coarse = test["scope"] == "mean" and value is not None
        return f"{value:+.2f}" if coarse else figure(value, sign=True)

    interval = "\n" + "..".join(map(number, test["interval"])) if test["interval"] else ""
    return f"{number(test['gain'])}{interval}\n{test['verdict'].replace('_', ' ')}"


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{task} {weight:.3g}" for task, weight in weights.items())


def _seconds(seconds: float | None) -> str:
    return "unknown time" if seconds is None else f"{seconds:,.0f} s"
