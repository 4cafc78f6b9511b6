"""Text below the tables, the same in a terminal and in Markdown."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

MANY_ARMS = 10
IMPOSSIBLE = 0.5
"""No gain in AUC is as large, so that a test that detects no smaller one detects none."""
SIMULATED = "simulated data: these figures say how well the tool finds what was planted, no more."


def all_arms(document: Mapping[str, Any]) -> list[str]:
    """Return the arms in the order of a table's columns, family by family."""
    return [arm for family in families(document) for arm in family["arms"]]


def families(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the families, each of which is judged together."""
    return [document["family"], *document["other_families"]]


def of_methods(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the families, without the controls if there are others: controls answer another question."""
    return [family for i, family in enumerate(families(document)) if i == 0 or family["name"] != "controls"]


def many_arms(document: Mapping[str, Any]) -> bool:
    """Return whether there are too many arms for the columns of a table: each then has a row."""
    return len(all_arms(document)) > MANY_ARMS


def of_family(document: Mapping[str, Any], family: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the comparisons of one family."""
    return [c for c in document["comparisons"] if c["arm"] in family["arms"]]


def legend(document: Mapping[str, Any]) -> list[str]:
    """Explain the verdicts: the families, what the interval is over, what could have been detected."""
    family, comparisons = document["family"], document["comparisons"]
    effects: dict[str, dict[str, None]] = {}
    for c in comparisons:
        effects.setdefault(_effect(c["delta"], c["delta_unit"]), {})[c["task"]] = None
    told = [f"{effect} ({', '.join(of)})" if len(effects) > 1 else effect for effect, of in effects.items()]
    lines = [
        f"{_family(family)}; verdicts: Holm, alpha {family['alpha']:g}; smallest effect that matters: "
        f"{', '.join(told)}.",
        *_other_families(document),
        f"Gain over {family['baseline']} with its 95 % interval (unadjusted: verdicts use wider ones) over "
        f"{_seeds(comparisons)} and {max(c['clusters'] for c in comparisons):,} test "
        f"{many_clusters(document)}.",
    ]
    seen = {one["name"]: _seen(of_family(document, one)) for one in of_methods(document)}
    several = sum(map(bool, seen.values())) > 1
    for name, smallest in seen.items():
        if smallest:
            which = f" among {name}" if several else ""
            lines.append(f"Smallest gain{which} that this could have called (power .80): {smallest}.")
    tuned = dict.fromkeys(c["arm"] for c in comparisons if c["tuned"])
    but = f" but {', '.join(tuned)}" if tuned else ""
    return [*lines, f"All methods{but} untuned: default settings, but for what was set by hand."]


def cell_legend(document: Mapping[str, Any]) -> list[str]:
    """Explain what else may appear in a cell of the table in a terminal."""
    comparisons, many = document["comparisons"], many_clusters(document)
    lines = []
    if any(c["verdict"] == "INCONCLUSIVE" for c in comparisons):
        lines.append(
            f"Below INCONCLUSIVE: about how many seeds, or test {many}, would show the smallest effect that "
            "matters."
        )
    if any(map(peaks_elsewhere, comparisons)):
        lines.append("Own peak: the gain when each arm uses the checkpoint that is best for that task alone.")
    return lines


def peaks_elsewhere(comparison: Mapping[str, Any]) -> bool:
    """Return whether a task seems to lose, and its gain differs at its own best checkpoint."""
    best, loses = comparison["gain_best"], (comparison["gain"] or 0) < 0
    return loses and comparison["verdict"] in ("NEGATIVE", "INCONCLUSIVE") and best != comparison["gain"]


def _family(family: Mapping[str, Any]) -> str:
    """Describe it, such as: Family, declared by the benchmark demo: 3 arms x 4 tasks = 12 comparisons."""
    by = f"declared by the benchmark {family['declared']}" if family["declared"] else "as compared here"
    name = f"Family {family['name']}" if family["declared"] and family["name"] != "methods" else "Family"
    return f"{name}, {by}: {_size(family['arms'], family['tasks'], family['size'])}"


def _other_families(document: Mapping[str, Any]) -> list[str]:
    """Describe the arms that are judged as families of their own, such as controls."""
    tasks = document["family"]["tasks"]
    return [
        f"{other['name'].capitalize()}, judged as a family of their own: "
        f"{_size(other['arms'], tasks, other['size'])} ({', '.join(other['arms'])})."
        for other in document["other_families"]
    ]


def _size(arms: Collection[str], tasks: Collection[str], size: int) -> str:
    """Describe a size, e.g. 3 arms x 4 tasks = 12 comparisons, 4 of them here; `arms` have a result."""
    here = len(arms) * len(tasks)
    absent = f", {here} of them here" if here < size else ""
    arms_declared = _count(size // len(tasks), "arm")
    return f"{arms_declared} x {_count(len(tasks), 'task')} = {_count(size, 'comparison')}{absent}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _effect(delta: float, unit: str) -> str:
    """Format an effect, such as 0.001 AUC or 0.2 % of log loss."""
    name = unit_name(unit)
    return (
        f"{100 * delta:g} % of {name.removeprefix('relative ')}"
        if "relative" in name
        else f"{delta:g} {name}"
    )


def unit_name(unit: str) -> str:
    """Return the usual name of a metric, or of the unit of a gain: AUC, R2, relative log loss."""
    return unit.replace("_", " ") if "_" in unit else unit.upper()


def _seeds(comparisons: Iterable[Mapping[str, Any]]) -> str:
    """Describe the seeds, such as 5 seeds, or 3 to 5 seeds if some arm lacks a few."""
    numbers = sorted({c["seeds"] for c in comparisons})
    return _count(numbers[0], "seed") if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} seeds"


def _seen(comparisons: Iterable[Mapping[str, Any]]) -> str:
    """Return the range of the smallest effects that could be called, unit by unit."""
    by_unit: dict[str, list[float]] = {}
    for c in comparisons:
        effect, unit = c["minimum_detectable_effect"], c["delta_unit"]
        if effect is not None and not ("auc" in unit and effect >= IMPOSSIBLE):
            by_unit.setdefault(unit, []).append(effect)
    return ", ".join(f"{between(v)} {unit_name(unit)}" for unit, v in by_unit.items())


def between(values: Sequence[float]) -> str:
    """Format the range of some values; one number if they are the same."""
    ends = dict.fromkeys((figure(min(values)), figure(max(values))))
    return " to ".join(ends)


def many_clusters(document: Mapping[str, Any]) -> str:
    """Return the word for groups of rows that belong together."""
    return "users" if document["cluster"] == "user" else "clusters"


def figure(value: float | None, *, sign: bool = False) -> str:
    """Format a metric or a gain to four places."""
    return "undefined" if value is None else f"{value:{'+' if sign else ''}.4f}"


def baseline_values(comparisons: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one task's metric, then the baseline's value, or several if arms have different baselines."""
    held = list(comparisons)
    return [unit_name(held[0]["metric"]), *dict.fromkeys(figure(c["baseline_value"]) for c in held)]


def span(interval: Iterable[float]) -> str:
    """Format an interval of a gain."""
    return "..".join(figure(end, sign=True) for end in interval)
