"""Tests against the fixed-weight frontier: each rival against its chosen point, by the primary test.

Every rival has a test on each task and one on their mean, `mean_k g_k / delta_k`: the very mean by which the
checkpoints and the weights were chosen. All tests, over all frontiers, are one family for Holm, separate from
that of the main comparison. Only the mean says whether a balancer helps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare.arms import Arm
from mtlbench.compare.contrasts import stacked
from mtlbench.compare.frontier import Frontier
from mtlbench.compare.influences import Cell, Influenced, ScoredRows
from mtlbench.compare.measures import gain_unit, smallest_effect
from mtlbench.compare.task_comparison import judged, plain
from mtlbench.config import Family
from mtlbench.errors import UndefinedMetric
from mtlbench.results import Result
from mtlbench.schema import Schema, Task
from mtlbench.statistics.mean_gain import mean_gain
from mtlbench.statistics.variance import Estimate, two_way, undefined
from mtlbench.statistics.verdict import Judgement, judge, why_no_verdict

Contrast = NDArray[np.float64] | UndefinedMetric
"""(clusters, seeds) rival minus chosen point, or why there is no contrast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierTest:
    """One rival against the chosen point of its frontier.

    Attributes:
        frontier: the frontier whose chosen point the rival is compared with.
        arm: the rival.
        task: the task that is compared; None for the mean of all tasks.
        estimate: the gain, in the metric's unit; for the mean in deltas (`Task.smallest_effect`).
        judgement: the verdict, as a member of the family of frontier tests.
        alpha: chance of any false call in that family.
        delta: smallest effect of interest, in the unit of the gain.
        family_size: number of frontier tests, over all frontiers.
    """

    frontier: Frontier
    arm: Arm
    task: Task | None
    estimate: Estimate
    judgement: Judgement
    alpha: float
    delta: float
    family_size: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers without a value are None."""
        data = {
            "arm": self.arm.name,
            **self.arm.identity,
            "against": self.frontier.name,
            "scope": "task" if self.task else "mean",
            "task": self.task.name if self.task else None,
            "metric": self.task.metric if self.task else None,
            **judged(self.estimate, self.judgement),
            "alpha": self.alpha,
            "delta": self.delta,
            "delta_unit": gain_unit(self.task.metric) if self.task else "deltas",
            "family_size": self.family_size,
        }
        return {key: plain(value) for key, value in data.items()}


def frontier_tests(
    frontiers: Sequence[Frontier],
    arms: Sequence[Arm],
    schema: Schema,
    tasks: Sequence[Task],
    family: Family,
    declared: int = 0,
) -> list[FrontierTest]:
    """Test every rival of every frontier, on each of the family's `tasks` and on the mean of all tasks.

    Tasks are tested by their primary metric, by which the checkpoints were chosen. All tests are one family,
    of the size `declared` if some rivals have no result.
    """
    reader = _Reader(schema.tasks, schema.cluster)
    deltas = {task.name: smallest_effect(task, task.metric, family.delta) for task in schema.tasks}
    # The mean is in units of the deltas that the checkpoints were chosen by, whatever delta is asked for now.
    of_mean = float(np.mean([deltas[task.name] / task.smallest_effect for task in schema.tasks]))
    members = [
        (frontier, rival, task, *found)
        for frontier in frontiers
        if frontier.chosen is not None
        for rival in frontier.rivals(arms)
        for task, found in reader.measure(rival, frontier.chosen, tasks)
    ]
    smallest = [deltas[task.name] if task else of_mean for _, _, task, _, _ in members]
    size = max(len(members), declared)
    judgements = judge(
        [estimate for *_, estimate, _ in members],
        smallest,
        alpha=family.alpha,
        reasons=[reason for *_, reason in members],
        cluster=schema.cluster,
        members=size,
    )
    return [
        FrontierTest(
            frontier=frontier,
            arm=rival,
            task=task,
            estimate=estimate,
            judgement=judgement,
            alpha=family.alpha,
            delta=effect,
            family_size=size,
        )
        for (frontier, rival, task, estimate, _), effect, judgement in zip(
            members, smallest, judgements, strict=True
        )
    ]


class _Reader:
    """Turns score files into contrasts; keeps the influences of the chosen point, which all rivals need."""

    def __init__(self, tasks: Sequence[Task], cluster: str) -> None:
        self._cluster = cluster
        self._cells = [Cell(task, task.metric) for task in tasks]
        self._rows: ScoredRows | None = None
        self._kept: tuple[Arm | None, dict[int, Influenced]] = (None, {})

    def measure(
        self, rival: Arm, chosen: Arm, family_tasks: Sequence[Task]
    ) -> list[tuple[Task | None, tuple[Estimate, str]]]:
        """Return the gain over the chosen point on each task of the family and on the mean, or why none."""
        seeds = sorted(rival.results.keys() & chosen.results.keys())
        if not seeds:
            nothing = undefined(0, 0), f"no seed in common with {chosen.name}"
            return [(task, nothing) for task in (*family_tasks, None)]
        if self._kept[0] is not chosen:
            self._kept = chosen, {}
        base = self._kept[1]
        for seed in seeds:
            if seed not in base:
                base[seed] = self._influences(chosen.results[seed])
        mine = {seed: self._influences(rival.results[seed]) for seed in seeds}
        assert self._rows is not None
        members = [self._rows.members(i) for i in range(len(self._cells))]
        sides = [mine[s] for s in seeds], [base[s] for s in seeds]
        contrasts = [_contrast(*sides, i) for i in range(len(members))]
        alone = [self._alone(i, contrast, len(seeds)) for i, contrast in enumerate(contrasts)]
        found: list[tuple[Task | None, tuple[Estimate, str]]] = [
            (cell.task, estimated)
            for cell, estimated in zip(self._cells, alone, strict=True)
            if cell.task in family_tasks
        ]
        return [*found, (None, self._mean(contrasts, members, alone))]

    def _alone(self, cell: int, contrast: Contrast, seeds: int) -> tuple[Estimate, str]:
        """Return the gain on one task, or why there is none."""
        assert self._rows is not None
        if isinstance(contrast, UndefinedMetric):
            reason = f"{self._cells[cell].metric} is undefined: {contrast}"
            return undefined(seeds, self._rows.clusters(cell)), reason
        return replace(two_way(contrast), informative=self._rows.informative(cell)), ""

    def _mean(
        self,
        contrasts: Sequence[Contrast],
        members: Sequence[NDArray[np.int64]],
        alone: Sequence[tuple[Estimate, str]],
    ) -> tuple[Estimate, str]:
        """Return the mean over all tasks, each gain in units of the task's smallest effect.

        A task that cannot have a verdict of its own would weigh as much as the others but be less certain:
        then the mean has none either.
        """
        estimates, reasons = zip(*alone, strict=True)
        defined = [c for c in contrasts if not isinstance(c, UndefinedMetric)]
        for cell, estimate, reason in zip(self._cells, estimates, reasons, strict=True):
            why = reason or why_no_verdict(estimate, self._cluster)
            if why:
                return undefined(estimate.seeds, 0), f"{cell.task.name}: {why}"
        units = [cell.task.smallest_effect for cell in self._cells]
        return two_way(mean_gain(defined, members, units)), ""

    def _influences(self, result: Result) -> Influenced:
        scores = result.scores()
        if self._rows is None:
            self._rows = ScoredRows(result, scores, self._cells)
        return self._rows.influences(result, scores)


def _contrast(mine: Sequence[Influenced], base: Sequence[Influenced], cell: int) -> Contrast:
    try:
        one, other = stacked(
            (m.deployable[cell], b.deployable[cell]) for m, b in zip(mine, base, strict=True)
        )
    except UndefinedMetric as error:
        return error
    return one - other
