"""What a reader must know before believing the tables."""

from collections.abc import Mapping
from typing import Any

from mtlbench.config import arm_name
from mtlbench.report.words import SIMULATED, between, figure, of_family, of_methods, span, unit_name


def remarks(document: Mapping[str, Any]) -> list[str]:
    """Return one line per remark, the most important first."""
    return [
        *_failed(document),
        *_verdicts(document),
        *_peaks(document),
        *_networks(document),
        *_unpaired(document),
        *_seed_groups(document),
        *_cut_short(document),
        *_warnings(document),
        *_strata(document),
        *([SIMULATED] if document["simulated"] else []),
    ]


def _failed(document: Mapping[str, Any]) -> list[str]:
    failed = [run for run in document["runs"] if run["status"] == "failed"]
    if not failed:
        return []
    reasons = "; ".join(dict.fromkeys(run["reason"] for run in failed))
    every = "all" if len(failed) == len(document["runs"]) else f"{len(failed)} of"
    return [f"{every} {len(document['runs'])} runs failed: {reasons}"]


def _verdicts(document: Mapping[str, Any]) -> list[str]:
    lines = []
    seesaws = [s["arm"] for s in document["summaries"] if s["verdict"] == "SEESAW"]
    if seesaws:
        lines.append(f"SEESAW: {', '.join(seesaws)} help some tasks at the cost of others.")
    largest = max(of_methods(document), key=lambda family: int(family["size"]))
    seeds = min((c["seeds"] for c in of_family(document, largest)), default=0)
    size = largest["size"]
    if 5 <= seeds < 10 and size > 1:
        lines.append(
            f"{seeds} seeds are few for a family of {size}: 10 can call smaller effects. Take them from the "
            "start, or 10 new ones: to add to these because a verdict was INCONCLUSIVE is a second look at "
            "the data (docs/protocol.md, section 8)."
        )
    reasons: dict[str, list[str]] = {}
    for c in document["comparisons"]:
        if "reason" in c:
            reasons.setdefault(c["reason"], []).append(f"{c['arm']}, {c['task']}")
    for reason, members in reasons.items():
        everywhere = len(members) == len(document["comparisons"])
        lines.append(f"no verdict{'' if everywhere else ' (' + '; '.join(members) + ')'}: {reason}.")
    return lines


def _peaks(document: Mapping[str, Any]) -> list[str]:
    """List losses at the one deployable checkpoint that are not interference between the tasks."""
    return [
        f"{c['arm']}: the tasks peak at different times; with a checkpoint of its own, {c['task']} does not "
        f"lose beyond doubt: {figure(c['gain_best'], sign=True)} ({span(c['interval_best'])})."
        for c in document["comparisons"]
        if c["peaks_apart"]
    ]


def _networks(document: Mapping[str, Any]) -> list[str]:
    """List arms whose network is not their baseline's: their gains are not due to sharing alone."""
    guards = (guard for c in document["comparisons"] for guard in c["guards"])
    return list(dict.fromkeys(f"{g['message']}." for g in guards if g["guard"] == "network"))


def _unpaired(document: Mapping[str, Any]) -> list[str]:
    """List arms of which not every seed counts: seeds that diverged would be missing from their gain."""
    found = {
        f"{c['arm']}: {guard['message']}."
        for c in document["comparisons"]
        for guard in c["guards"]
        if guard["guard"] == "unpaired seeds"
    }
    return sorted(found)


def _seed_groups(document: Mapping[str, Any]) -> list[str]:
    """List arms whose seeds learn a task in two ways."""
    return [
        f"{g['arm']} learns {g['task']} in two ways: {unit_name(g['metric'])} {between(g['lower'])} with "
        f"{len(g['lower'])} of {len(g['lower']) + len(g['upper'])} seeds, {between(g['upper'])} with the "
        "others. Verdicts do not allow for that (docs/protocol.md, section 8). More epochs, or a higher "
        "training.patience, may end it."
        for g in document["seed_groups"]
    ]


def _cut_short(document: Mapping[str, Any]) -> list[str]:
    """Count runs that early stopping did not end: their comparison is then partly one of learning speed."""
    cut = [run for run in document["runs"] if run.get("cut_short")]
    if not cut:
        return []
    return [
        f"{len(cut)} of {len(document['runs'])} runs were still getting better when their epochs ended, so "
        "that gains partly say who learns faster: --epochs gives more of them."
    ]


def _warnings(document: Mapping[str, Any]) -> list[str]:
    """List the warnings of the runs themselves, each once with its seeds."""
    seeds: dict[tuple[str, str, str], list[int]] = {}
    runs: dict[tuple[str, str], int] = {}
    for run in document["runs"]:
        arm = (run["method"], run["balancer"])
        runs[arm] = runs.get(arm, 0) + 1
        for warning in run["warnings"]:
            seeds.setdefault((*arm, warning), []).append(run["seed"])
    lines = []
    for (method, balancer, warning), found in seeds.items():
        which = ", ".join(map(str, dict.fromkeys(found)))  # each seed once, even with many frontier points
        which = "" if len(found) == runs[method, balancer] else f", seed {which}"
        lines.append(f"{arm_name(method, balancer)}{which}: {warning}")
    return lines


def _strata(document: Mapping[str, Any]) -> list[str]:
    """Explain how the groups were judged, and which cells cannot have a call."""
    if "strata" not in document:
        return []
    found = document["strata"]
    lines = [
        f"the groups are EXPLORATORY and no verdicts: nobody declared them beforehand, and of all calls "
        f"among {found['size']} cells about {found['rate']:.0%} may be false (Benjamini-Hochberg)."
    ]
    reasons: dict[str, dict[str, None]] = {}
    for c in found["cells"]:
        if c["reason"]:
            reasons.setdefault(c["reason"], {})[f"{c['stratum']}, {c['task']}"] = None
    for reason, cells in reasons.items():
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        lines.append(f"no call for {next(iter(cells))}{more}: {reason}.")
    return lines
