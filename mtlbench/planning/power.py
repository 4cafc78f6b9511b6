"""What a benchmark can detect, read off its pilot before the rest is trained.

Only variances are taken from the contrast of the pilot's two methods, that of the seeds at its upper 80 %
bound. The gain is neither shown nor kept, so changing the benchmark after seeing the plan cannot bias its
verdicts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtlbench.compare import TaskComparison, compare
from mtlbench.compare.measures import gain_unit
from mtlbench.config import Benchmark
from mtlbench.planning.pilot import members
from mtlbench.results import Result
from mtlbench.schema import Schema
from mtlbench.statistics.power import Forecast, forecast
from mtlbench.statistics.variance import Estimate
from mtlbench.statistics.verdict import MIN_CLUSTERS, MIN_SEEDS, adjusted_df, why_no_verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPower:
    """What the benchmark can detect on one task.

    Attributes:
        task: name of the task.
        unit: unit of the gain: a metric, or a share of one.
        delta: smallest effect of interest.
        forecast: what can be detected; None if the pilot cannot tell.
        reason: why the pilot cannot tell; empty if it can.
    """

    task: str
    unit: str
    delta: float
    forecast: Forecast | None
    reason: str = ""

    @property
    def decides(self) -> bool:
        """Whether an effect of delta would be called with probability .80."""
        return self.forecast is not None and self.forecast.minimum_detectable_effect <= self.delta

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers without a value are None."""
        seen = self.forecast
        known = seen is not None and math.isfinite(seen.minimum_detectable_effect)
        return {
            "task": self.task,
            "delta": self.delta,
            "delta_unit": self.unit,
            "minimum_detectable_effect": seen.minimum_detectable_effect if seen and known else None,
            "decides": self.decides,
            "seeds_needed": seen.seeds_needed if seen else None,
            "clusters_needed": seen.clusters_needed if seen else None,
            "clusters": seen.estimate.clusters if seen else None,
            "se": seen.estimate.se if seen else None,
            "df": seen.df if seen and known else None,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What the benchmark can detect, task by task.

    Attributes:
        methods: the pilot's methods.
        pilot_seeds: the pilot's seeds.
        seeds: number of seeds of the benchmark, but at least as many as a verdict needs.
        members: number of comparisons in its family.
        alpha: chance of any false POSITIVE or NEGATIVE in the family.
        cluster: what the rows that belong together are called.
        tasks: one entry per task.
    """

    methods: tuple[str, ...]
    pilot_seeds: tuple[int, ...]
    seeds: int
    members: int
    alpha: float
    cluster: str
    tasks: tuple[TaskPower, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; none of them reveals a gain."""
        return {
            "pilot": {"methods": list(self.methods), "seeds": list(self.pilot_seeds)},
            "seeds": self.seeds,
            "family_size": self.members,
            "alpha": self.alpha,
            "cluster": self.cluster,
            "tasks": [task.to_json() for task in self.tasks],
        }


def read_power(benchmark: Benchmark, schema: Schema, results: Sequence[Result]) -> Power:
    """Work out what the benchmark can detect, from the pilot's results.

    Args:
        benchmark: with its baseline; its seeds and its family are those of the planned comparison.
        schema: the dataset's tasks, and what its clusters are.
        results: the pilot's runs, of two methods.
    """
    methods, family = tuple(dict.fromkeys(result.method for result in results)), benchmark.family
    made_to_match = {r.method for r in results if "match" in r.data["run"]["method_options"]}
    baseline = next((method for method in methods if method not in made_to_match), methods[0])
    compared = compare(results, schema, replace(family, baseline=baseline))
    size = members(benchmark, schema)
    seeds = max(len(benchmark.seed_numbers), MIN_SEEDS)
    return Power(
        methods=methods,
        pilot_seeds=tuple(sorted({result.seed for result in results})),
        seeds=seeds,
        members=size,
        alpha=family.alpha,
        cluster=schema.cluster,
        tasks=tuple(_task_power(c, schema, seeds, size) for c in compared.comparisons),
    )


def _task_power(c: TaskComparison, schema: Schema, seeds: int, size: int) -> TaskPower:
    estimate = c.measured.estimate
    reason = c.measured.reason or why_no_verdict(estimate, schema.cluster)
    if not reason and estimate.se == 0:
        reason = "the pilot's two methods scored alike, so there is no variance to go by"
    about = {"task": c.task.name, "unit": gain_unit(c.metric)}
    if reason:
        return TaskPower(**about, delta=c.delta, forecast=None, reason=reason)

    share = c.alpha / max(size, 1)

    def degrees(expected: Estimate) -> float:
        return adjusted_df(expected.df, expected.seeds, share)

    seen = forecast(
        estimate,
        seeds,
        c.delta,
        share,
        degrees,
        least_seeds=MIN_SEEDS,
        least_clusters=MIN_CLUSTERS,
    )
    return TaskPower(**about, delta=c.delta, forecast=seen)
