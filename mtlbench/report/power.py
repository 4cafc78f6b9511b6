"""What a benchmark can and cannot decide, in plain sentences; from the numbers of `planning.power`."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.report.words import many_clusters
from mtlbench.statistics.verdict import FAR_TAIL_LEVEL, FAR_TAIL_SEEDS, MIN_SEEDS


def too_few_seeds(seeds: int, members: int, alpha: float = 0.05) -> list[str]:
    """Warn if there are too few seeds for a family of that size at that alpha, whatever the data are."""
    if seeds < MIN_SEEDS:
        few = f"{seeds} seed{'s' * (seeds != 1)}: no verdict will be given, that wants at least {MIN_SEEDS}."
        return [f"{few} Set seeds = {FAR_TAIL_SEEDS} in the benchmark file, or --seeds {FAR_TAIL_SEEDS}."]
    if seeds < FAR_TAIL_SEEDS and members > 1 and alpha / members >= FAR_TAIL_LEVEL:
        return [
            f"A family of {members} wants {FAR_TAIL_SEEDS} seeds: with {seeds} its tests have at most "
            f"{seeds - 1} degrees of freedom and miss smaller effects (--seeds {FAR_TAIL_SEEDS})."
        ]
    return []


def undecided(power: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each task on which the benchmark cannot detect an effect of its own delta."""
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
    """Say on which tasks the benchmark can detect an effect of its own delta, and what the others need."""
    yes = [task["task"] for task in power["tasks"] if task["decides"]]
    no = [task for task in power["tasks"] if not task["decides"]]
    benchmark = f"With {power['seeds']} seeds this benchmark"
    if not no:
        return f"{benchmark} can detect an effect of its own delta on every task."
    known = [task for task in no if not task["reason"]]
    way_out = f" {_way_out(known, many_clusters(power))}" if known else ""
    if not yes:
        return f"{benchmark} cannot detect an effect of its own delta on any task.{way_out}"
    names = ", ".join(task["task"] for task in no)
    which = f"{', '.join(yes)}; it cannot on {names}"
    return f"{benchmark} can detect an effect of its own delta on {which}.{way_out}"


def _way_out(tasks: Sequence[Mapping[str, Any]], many: str) -> str:
    """Say what would decide on all given tasks: seeds, else clusters, else a delta that can be detected."""
    seeds = [task["seeds_needed"] for task in tasks]
    users = [task["clusters_needed"] for task in tasks]
    if None not in seeds:
        return f"{max(seeds):,} seeds would."
    if None not in users:
        return f"No number of seeds would; {max(users):,} test {many} would."
    seen = [task["minimum_detectable_effect"] for task in tasks]
    neither = f"Neither more seeds nor more test {many} alone would"
    return f"{neither}; at a delta of {max(seen):.2g} it could." if None not in seen else f"{neither}."


def how_long(time: Mapping[str, Any]) -> str:
    """Say how long the runs without a result will take."""
    untimed = f" ({', '.join(time['not_timed'])} not timed)" if time["not_timed"] else ""
    if not time["runs"]:
        return f"Time: nothing is left to train{untimed}."
    workers = f"{time['workers']} worker{'s' * (time['workers'] != 1)}"
    runs = f"{time['runs']} run{'s' * (time['runs'] != 1)} to do, on {workers}{untimed}"
    line = f"Time, with the machine to itself: at most {_duration(time['at_most'])} for the {runs}"
    if time["share_of_steps_in_pilot"] > 0.99:
        return f"{line}."
    share = f"{100 * time['share_of_steps_in_pilot']:.0f} %"
    early = f"if all stop as early as the pilot did, after {share} of its steps"
    return f"{line}; {_duration(time['like_pilot'])} {early}."


def _duration(seconds: float) -> str:
    """Format a duration, such as 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
