"""One task of one arm compared with the baseline, and its JSON form."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mtlbench.compare.contrasts import Measured
from mtlbench.compare.guards import Guard
from mtlbench.compare.measures import gain_unit
from mtlbench.schema import Task
from mtlbench.statistics.variance import Estimate, interval
from mtlbench.statistics.verdict import INTERVAL_ALPHA, Judgement, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskComparison:
    """One task of one arm compared with the baseline; NaN where a number has no value.

    Attributes:
        arm: the arm's display name, unique in the comparison.
        identity: method, method_options, balancer, balancer_options of the arm.
        baseline: the method that the arm is compared with.
        task: the task that is compared.
        metric: the metric that is compared.
        measured: the gain, its variance components and the figures beside them.
        judgement: the verdict on the gain, as a member of its family, and its tests.
        alpha: chance of any false POSITIVE or NEGATIVE in its family.
        delta: smallest effect of interest, in the unit of the gain.
        family: the name of its family, as in `Sides.families`.
        family_size: number of comparisons in the family.
        guards: reasons to doubt the comparison.
        trials: number of settings tried on validation before the arm's were chosen; 1 if nothing was tuned.
    """

    arm: str
    identity: Mapping[str, Any]
    baseline: str
    task: Task
    metric: str
    measured: Measured
    judgement: Judgement
    alpha: float
    delta: float
    family: str
    family_size: int
    guards: tuple[Guard, ...] = ()
    trials: int = 1

    @property
    def gain(self) -> float:
        """The gain over the baseline in `gain_unit`, mean over seeds; higher is better."""
        return self.measured.estimate.gain

    @property
    def relative_improvement(self) -> float:
        """RelaImpr `(AUC_m - .5)/(AUC_b - .5) - 1`; NaN for other metrics or a baseline at or below chance.

        Source: Yan et al., "Coupled Group Lasso for Web-Scale CTR Prediction", ICML 2014.
        """
        value, base = self.measured.value, self.measured.baseline_value
        return (value - 0.5) / (base - 0.5) - 1 if self.metric == "auc" and base > 0.5 else math.nan

    @property
    def share_of_seeds_gaining(self) -> float:
        """Share of the paired seeds whose gain is above 0."""
        gains = self.measured.seed_gains
        return sum(g > 0 for g in gains) / len(gains) if gains else math.nan

    @property
    def interval_best(self) -> tuple[float, float]:
        """95 % interval of the gain when each arm uses its own best checkpoint for this task; unadjusted."""
        return interval(self.measured.best, self.measured.best.df, INTERVAL_ALPHA)

    @property
    def peaks_apart(self) -> bool:
        """Whether the task loses at the one deployable checkpoint, but not beyond doubt at its own best one.

        The tasks then peak at different times, which is not interference.
        """
        return self.judgement.verdict is Verdict.NEGATIVE and self.interval_best[1] >= 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers without a value are None."""
        m, j = self.measured, self.judgement
        data = {
            "arm": self.arm,
            **self.identity,
            "baseline": self.baseline,
            "task": self.task.name,
            "metric": self.metric,
            **judged(m.estimate, j),
            "alpha": self.alpha,
            "delta": self.delta,
            "delta_unit": gain_unit(self.metric),
            "family": self.family,
            "family_size": self.family_size,
            "tuned": self.trials > 1,
            "trials": self.trials,
            "value": m.value,
            "baseline_value": m.baseline_value,
            "gain_best": m.best.gain,
            "se_best": m.best.se,
            "interval_best": ends(self.interval_best),
            "peaks_apart": self.peaks_apart,
            "relative_improvement": self.relative_improvement,
            "seed_gains": list(m.seed_gains),
            "share_of_seeds_gaining": self.share_of_seeds_gaining,
            "pairing": {"seeds": m.pairing.seeds, "clusters": m.pairing.clusters},
            "guards": [asdict(guard) for guard in self.guards],
        }
        if self.task.truth:
            data["truth"] = self.task.truth
        return {key: plain(value) for key, value in data.items()}


def judged(e: Estimate, j: Judgement) -> dict[str, Any]:
    """Return a gain with its variance components and its judgement: enough to recompute every test."""
    data = {
        "gain": e.gain,
        "se": e.se,
        "df": j.df,
        "variance": {"seed": e.seed, "user": e.user, "residual": e.residual, "kurtosis": e.kurtosis},
        "interval": ends(j.interval),
        "p_value": j.p_value,
        "adjusted_df": j.adjusted_df,
        "adjusted_p_value": j.adjusted_p_value,
        "adjusted_interval": ends(j.adjusted_interval),
        "verdict": str(j.verdict),
        "material": j.material,
        "equivalent": j.equivalent,
        "equivalence_p": j.equivalence_p,
        "minimum_detectable_effect": j.minimum_detectable_effect,
        "seeds_needed": j.seeds_needed,
        "clusters_needed": j.clusters_needed,
        "seeds": e.seeds,
        "clusters": e.clusters,
        "informative_clusters": e.informative,
    }
    return {**data, "reason": j.reason} if j.reason else data


def plain(value: Any) -> Any:
    """Convert a value to what JSON can hold: NaN and infinity become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    return value


def ends(interval: tuple[float, float]) -> tuple[float, float] | None:
    """Return an interval, or None if it has no value."""
    return None if any(map(math.isnan, interval)) else interval
