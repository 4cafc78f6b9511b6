"""What a benchmark can and cannot decide, in plain sentences; from the numbers of `mtlbench.pilot`."""

from collections.abc import Mapping
from typing import Any

from mtlbench.report.words import many_clusters
from mtlbench.statistics.verdict import FAR_TAIL_FAMILY, FAR_TAIL_SEEDS, MIN_SEEDS


def too_few_seeds(seeds: int, members: int) -> list[str]:
    """What so few seeds mean for a family of that size, whatever the data are."""
    if seeds < MIN_SEEDS:
        few = f"{seeds} seed{'s' * (seeds != 1)}: no verdict will be given, that wants at least {MIN_SEEDS}."
        return [f"{few} Set seeds = {FAR_TAIL_SEEDS} in the benchmark file, or --seeds {FAR_TAIL_SEEDS}."]
    if seeds < FAR_TAIL_SEEDS and 1 < members <= FAR_TAIL_FAMILY:
        return [
            f"A family of {members} wants {FAR_TAIL_SEEDS} seeds: with {seeds} its tests have at most "
            f"{seeds - 1} degrees of freedom, and see large effects alone (--seeds {FAR_TAIL_SEEDS})."
        ]
    return []


def undecided(power: Mapping[str, Any]) -> list[str]:
    """A sentence for each task on which the benchmark cannot decide at its own delta; none where it can."""
    many = many_clusters(power)
    return [_undecided(task, power["seeds"], many) for task in power["tasks"] if not task["decides"]]


def _undecided(task: Mapping[str, Any], seeds: int, many: str) -> str:
    name, unit = task["task"], str(task["delta_unit"]).upper()
    if task["reason"]:
        return f"{name}: the pilot cannot tell what will be seen: {task['reason']}."
    if task["minimum_detectable_effect"] is None:
        return f"{name}: {seeds} seeds leave too few degrees of freedom for any effect to be seen."
    return (
        f"{name}: {seeds} seeds see effects from {task['minimum_detectable_effect']:.2g} {unit} on, not "
        f"{task['delta']:g}; {_remedy(task, seeds, many)}."
    )


def _remedy(task: Mapping[str, Any], seeds: int, many: str) -> str:
    wanted, users = task["seeds_needed"], task["clusters_needed"]
    more_users = f"{users:,} test {many} in place of {task['clusters']:,}" if users else ""
    if wanted:
        return f"{wanted:,} seeds would" + (f", or {more_users}" if more_users else "")
    if more_users:
        return f"no number of seeds would, {more_users} would"
    return f"neither more seeds nor more test {many} alone would"


def conclusion(power: Mapping[str, Any]) -> str:
    """One sentence: on which tasks the benchmark can decide at its own delta."""
    yes = [task["task"] for task in power["tasks"] if task["decides"]]
    no = [task["task"] for task in power["tasks"] if not task["decides"]]
    if not no:
        return f"With {power['seeds']} seeds this benchmark can decide at its own delta on every task."
    if not yes:
        return f"With {power['seeds']} seeds this benchmark cannot decide at its own delta on any task."
    return (
        f"With {power['seeds']} seeds this benchmark can decide at its own delta on {', '.join(yes)}; "
        f"it cannot on {', '.join(no)}."
    )
