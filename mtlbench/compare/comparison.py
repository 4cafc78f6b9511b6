"""What a comparison is made of, and how it is written down."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtlbench.compare.contrasts import Measured
from mtlbench.schema import Task
from mtlbench.statistics.verdict import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskComparison:
    """One task of one arm against the baseline; NaN where a number has no value.

    Attributes:
        arm: the arm's name for people, unique in the comparison.
        identity: method, method_options, balancer, balancer_options of the arm.
        baseline: the method that it is held against.
        task: what is predicted; `task.metric` is what is compared.
        measured: the gain, its variance components and what stands beside them.
        judgement: what may be said of the gain, as a member of its family.
        alpha: chance of any false POSITIVE or NEGATIVE in the family.
        delta: smallest effect of interest, in the unit of the gain.
        family_size: comparisons in the family.
    """

    arm: str
    identity: Mapping[str, Any]
    baseline: str
    task: Task
    measured: Measured
    judgement: Judgement
    alpha: float
    delta: float
    family_size: int

    @property
    def gain(self) -> float:
        """The method's metric less the baseline's, mean over seeds; higher is better."""
        return self.measured.estimate.gain

    @property
    def relative_improvement(self) -> float:
        """RelaImpr `(AUC_m - .5)/(AUC_b - .5) - 1`; NaN for other metrics and a baseline at or below chance.

        Source: Yan et al., "Coupled Group Lasso for Web-Scale CTR Prediction", ICML 2014.
        """
        value, base = self.measured.value, self.measured.baseline_value
        return (value - 0.5) / (base - 0.5) - 1 if self.task.metric == "auc" and base > 0.5 else math.nan

    @property
    def share_of_seeds_gaining(self) -> float:
        """Share of the paired seeds whose gain is above 0."""
        gains = self.measured.seed_gains
        return sum(g > 0 for g in gains) / len(gains) if gains else math.nan

    def to_json(self) -> dict[str, Any]:
        """Plain values; what has no value is None."""
        m, e, j = self.measured, self.measured.estimate, self.judgement
        data = {
            "arm": self.arm,
            **self.identity,
            "baseline": self.baseline,
            "task": self.task.name,
            "metric": self.task.metric,
            "gain": e.gain,
            "se": e.se,
            "df": j.df,
            "variance": {"seed": e.seed, "user": e.user, "residual": e.residual},
            "interval": _ends(j.interval),
            "p_value": j.p_value,
            "adjusted_df": j.adjusted_df,
            "adjusted_p_value": j.adjusted_p_value,
            "adjusted_interval": _ends(j.adjusted_interval),
            "alpha": self.alpha,
            "delta": self.delta,
            "delta_unit": self.task.metric,
            "family_size": self.family_size,
            "verdict": str(j.verdict),
            "material": j.material,
            "equivalent": j.equivalent,
            "equivalence_p": j.equivalence_p,
            "minimum_detectable_effect": j.minimum_detectable_effect,
            "seeds_needed": j.seeds_needed,
            "clusters_needed": j.clusters_needed,
            "seeds": e.seeds,
            "clusters": e.clusters,
            "tuned": False,
            "value": m.value,
            "baseline_value": m.baseline_value,
            "gain_best": m.gain_best,
            "relative_improvement": self.relative_improvement,
            "share_of_seeds_gaining": self.share_of_seeds_gaining,
        }
        if j.reason:
            data["reason"] = j.reason
        if self.task.truth:
            data["truth"] = self.task.truth
        return {key: _plain(value) for key, value in data.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One arm over all tasks of the family.

    Attributes:
        arm: the arm's name for people.
        identity: method, method_options, balancer, balancer_options.
        seesaw: at least one task POSITIVE and one NEGATIVE.
        harmed_tasks: those with the verdict NEGATIVE.
        worst_task: the one with the lowest gain, each in units of its delta; empty where none has a gain.
        costs: cost -> `method` (mean over its seeds), `single_task` (the same, all tasks together), `ratio`.
    """

    arm: str
    identity: Mapping[str, Any]
    seesaw: bool
    harmed_tasks: tuple[str, ...]
    worst_task: str
    costs: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values; what has no value is None."""
        return {
            "arm": self.arm,
            **self.identity,
            "verdict": "SEESAW" if self.seesaw else None,
            "harmed_tasks": list(self.harmed_tasks),
            "worst_task": self.worst_task or None,
            "costs": _plain(self.costs),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The verdicts of one family, and what each arm costs."""

    baseline: str
    family_tasks: tuple[str, ...]
    alpha: float
    comparisons: tuple[TaskComparison, ...]
    summaries: tuple[Summary, ...]

    def to_json(self) -> dict[str, Any]:
        """`family`, `comparisons` and `summaries` as plain values."""
        return {
            "family": {
                "baseline": self.baseline,
                "arms": [s.arm for s in self.summaries],
                "tasks": list(self.family_tasks),
                "size": len(self.comparisons),
                "alpha": self.alpha,
            },
            "comparisons": [c.to_json() for c in self.comparisons],
            "summaries": [s.to_json() for s in self.summaries],
        }


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN and infinity become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _ends(interval: tuple[float, float]) -> tuple[float, float] | None:
    """An interval, None where it has no value."""
    return None if any(map(math.isnan, interval)) else interval
