"""What stands below the tables, the same in a terminal and on a page."""

from collections.abc import Mapping
from typing import Any


def legend(document: Mapping[str, Any]) -> list[str]:
    """How to read the verdicts: what the interval is over, how they were decided, what could be seen."""
    first, family = document["comparisons"][0], document["family"]
    known = [c["minimum_detectable_effect"] for c in document["comparisons"]]
    known = sorted(value for value in known if value is not None)
    seeds = f"{first['seeds']} seed{'s' * (first['seeds'] != 1)}"
    clusters = max(c["clusters"] for c in document["comparisons"])
    effects = dict.fromkeys(f"{c['delta']:g} {c['delta_unit'].upper()}" for c in document["comparisons"])
    lines = [
        f"Gain over {family['baseline']}, 95 % interval over {seeds} and {clusters:,} test "
        f"{many_clusters(document)}, verdict: Holm over a family of {family['size']}, alpha "
        f"{family['alpha']:g}, smallest effect that matters {', '.join(effects)}."
    ]
    if known:
        lines.append(
            f"Smallest gain that this could have called (power .80): {known[0]:.4f} to {known[-1]:.4f}."
        )
    return [*lines, "All methods untuned: default settings, but for what was set by hand."]


def many_clusters(document: Mapping[str, Any]) -> str:
    """What the rows that belong together are called."""
    return "users" if document["cluster"] == "user" else "clusters"


def remarks(document: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the table."""
    lines = []
    failed = [run for run in document["runs"] if run["status"] == "failed"]
    if failed:
        reasons = "; ".join(dict.fromkeys(run["reason"] for run in failed))
        lines.append(f"{len(failed)} of {len(document['runs'])} runs failed: {reasons}")
    seesaws = [s["arm"] for s in document["summaries"] if s["verdict"] == "SEESAW"]
    if seesaws:
        lines.append(f"SEESAW: {', '.join(seesaws)} help some tasks at the cost of others.")
    seeds = min((c["seeds"] for c in document["comparisons"]), default=0)
    size = document["family"]["size"]
    if 5 <= seeds < 10 and size > 1:
        lines.append(f"{seeds} seeds are few for a family of {size}: --seeds 10 sees smaller effects.")
    lines += dict.fromkeys(c["reason"] for c in document["comparisons"] if "reason" in c)
    lines += dict.fromkeys(
        f"{run['method']}, seed {run['seed']}: {warning}"
        for run in document["runs"]
        for warning in run["warnings"]
    )
    if document["simulated"]:
        lines.append("simulated data: these figures say how well the tool finds what was planted, no more.")
    return lines


def figure(value: float | None, *, sign: bool = False) -> str:
    """A metric or a gain to four places."""
    return "undefined" if value is None else f"{value:{'+' if sign else ''}.4f}"
