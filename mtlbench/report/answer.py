"""The answer in words: what happens to each task if a method replaces the baseline's models."""

from collections.abc import Mapping, Set
from typing import Any

from mtlbench.config import arm_name
from mtlbench.report.words import figure, many_arms, of_family, of_methods

OUTCOMES = {
    "POSITIVE": "better on",
    "NEGATIVE": "worse on",
    "EQUIVALENT": "no difference that matters on",
    "INCONCLUSIVE": "undecided on",
    "NO_VERDICT": "no verdict on",
}
"""Verdict -> words that are followed by its tasks."""
UNDECIDED = ("INCONCLUSIVE", "NO_VERDICT")


def answer(document: Mapping[str, Any]) -> list[str]:
    """Return a heading and one line per method; of many methods only those that are decided on some task."""
    costs = {summary["arm"]: summary["costs"] for summary in document["summaries"]}
    lines, undecided, in_two = [], 0, {(g["arm"], g["task"]) for g in document["seed_groups"]}
    for family in of_methods(document):
        for arm in family["arms"]:
            comparisons = [c for c in of_family(document, family) if c["arm"] == arm]
            if many_arms(document) and all(c["verdict"] in UNDECIDED for c in comparisons):
                undecided += 1
            else:
                lines.append(f"  {arm}: {_outcomes(comparisons, in_two)}{_size(costs[arm])}.")
    if undecided:
        lines.append(f"  {undecided} {'others' if lines else 'methods'}: undecided on every task.")
    return [f"In short, compared with {document['family']['baseline']}:", *lines]


def _outcomes(comparisons: list[Mapping[str, Any]], in_two: Set[tuple[str, str]]) -> str:
    """Format the verdicts, such as: better on view, buy; worse on cart."""
    parts = []
    for verdict, words in OUTCOMES.items():
        if tasks := [_task(c, in_two) for c in comparisons if c["verdict"] == verdict]:
            parts.append(f"{words} {', '.join(tasks)}")
    return "; ".join(parts)


def _task(comparison: Mapping[str, Any], in_two: Set[tuple[str, str]]) -> str:
    """Name the task, and what its verdict leaves open."""
    task, arm = str(comparison["task"]), arm_name(comparison["method"], comparison["balancer"])
    low = (comparison["adjusted_interval"] or [None])[0]
    if comparison["verdict"] == "INCONCLUSIVE" and low is not None and low < 0:
        return f"{task} (a loss of {figure(-low)} is not ruled out)"
    if comparison["verdict"] not in UNDECIDED and {(arm, task), (comparison["baseline"], task)} & in_two:
        return f"{task} (doubtful: see the note on its seeds)"
    return task


def _size(costs: Mapping[str, Mapping[str, float | None]]) -> str:
    ratio = costs["parameters"]["ratio"]
    return "" if ratio is None else f"; {ratio:.2f}x the parameters"
