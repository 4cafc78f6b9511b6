"""A whole comparison: the verdicts of its families, the figures beside them, and their JSON form."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mtlbench.compare.frontier_report import FrontierReport
from mtlbench.compare.secondary import Secondary
from mtlbench.compare.sides import OF_METHODS
from mtlbench.compare.task_comparison import TaskComparison, plain
from mtlbench.config import Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One arm over all tasks of the family.

    Attributes:
        arm: the arm's display name.
        identity: method, method_options, balancer, balancer_options.
        seesaw: at least one task POSITIVE and one NEGATIVE.
        secondary: figures that are not verdicts.
        costs: cost -> `method` (mean over its seeds), `baseline` (the same for all its models), `ratio`.
        trials: number of settings tried on validation before the arm's were chosen; 1 if nothing was tuned.
    """

    arm: str
    identity: Mapping[str, Any]
    seesaw: bool
    secondary: Secondary
    costs: Mapping[str, Mapping[str, float]]
    trials: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers without a value are None."""
        return {
            "arm": self.arm,
            **self.identity,
            "verdict": "SEESAW" if self.seesaw else None,
            "harmed_tasks": list(self.secondary.harmed_tasks),
            "worst_task": self.secondary.worst_task or None,
            "secondary": plain(asdict(self.secondary)),
            "costs": plain(self.costs),
            "tuned": self.trials > 1,
            "trials": self.trials,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All verdicts, and what each arm costs.

    Attributes:
        family: what the verdicts are about, its tasks filled in.
        declared: name of the benchmark that declares the family, if any.
    """

    family: Family
    declared: str
    comparisons: tuple[TaskComparison, ...]
    summaries: tuple[Summary, ...]
    frontiers: tuple[FrontierReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return `family`, `other_families`, `comparisons`, `summaries` and `frontiers` as plain values."""
        first, *others = dict.fromkeys(c.family for c in self.comparisons) or [OF_METHODS]
        return {
            "family": {
                "baseline": self.family.baseline,
                **self._members(first),
                "tasks": list(self.family.tasks),
                "alpha": self.family.alpha,
                "declared": self.declared or None,
            },
            "other_families": [self._members(name) for name in others],
            "comparisons": [c.to_json() for c in self.comparisons],
            "summaries": [s.to_json() for s in self.summaries],
            "frontiers": [f.to_json() for f in self.frontiers],
        }

    def _members(self, family: str) -> dict[str, Any]:
        mine = [c for c in self.comparisons if c.family == family]
        sizes = [c.family_size for c in mine]
        arms = list(dict.fromkeys(c.arm for c in mine))
        return {"name": family, "arms": arms, "size": max(sizes, default=0)}
