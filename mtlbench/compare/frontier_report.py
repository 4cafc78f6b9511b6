"""The JSON form of a frontier: its points, the choice, the tests of its rivals, what it covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare.arms import Arm, baseline_of
from mtlbench.compare.frontier import Frontier
from mtlbench.compare.frontier_tests import FrontierTest, frontier_tests
from mtlbench.compare.task_comparison import plain
from mtlbench.config import Family
from mtlbench.schema import Schema, Task
from mtlbench.statistics.hypervolume import hypervolume, non_dominated
from mtlbench.statistics.verdict import Verdict

MOST_AXES = 6
"""Most tasks of a hypervolume: with more, the exact one takes too long for a figure that decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierReport:
    """One frontier with everything that is reported about it.

    Attributes:
        frontier: the points and the chosen one.
        tests: the tests of its rivals.
        reference: the baseline, whose test metrics are the origin of the hypervolume.
        tasks: all tasks, the axes of the hypervolume.
    """

    frontier: Frontier
    tests: tuple[FrontierTest, ...]
    reference: Arm | None
    tasks: tuple[Task, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; numbers without a value are None."""
        frontier, first = self.frontier, self.frontier.points[0].identity
        chosen = frontier.chosen
        written = {
            "arm": frontier.name,
            "method": first["method"],
            "method_options": first["method_options"],
            "balancer": first["balancer"],
            "seeds": list(frontier.seeds),
            "tuning_seeds": list(frontier.tuning_seeds),
            "trials": frontier.trials,
            "points": self._points(),
            "chosen": dict(chosen.identity["balancer_options"]) if chosen else None,
            "tests": [test.to_json() for test in self.tests],
            "helps": [
                test.arm.name
                for test in self.tests
                if test.task is None and test.judgement.verdict is Verdict.POSITIVE
            ],
            "hypervolume": self._hypervolume(),
            "costs": self._costs(),
        }
        if chosen is None:
            written["reason"] = "no set of weights has been trained with the seeds that choose"
        return {key: plain(value) for key, value in written.items()}

    def _points(self) -> list[dict[str, Any]]:
        frontier = self.frontier
        test = self._test(frontier.points)
        whole = ~np.isnan(test).any(axis=1)
        free = np.zeros(len(test), bool)
        free[whole] = non_dominated(test[whole])
        chosen = frontier.chosen.identity if frontier.chosen else None
        return [
            {
                **point.identity["balancer_options"],
                "seeds": sorted(point.results),
                "criterion": criterion,
                "test": {task.name: float(v) for task, v in zip(self.tasks, values, strict=True)},
                "chosen": point.identity == chosen,
                "non_dominated": bool(best),
            }
            for point, criterion, values, best in zip(
                frontier.points, frontier.criteria, test, free, strict=True
            )
        ]

    def _test(self, arms: Iterable[Arm]) -> NDArray[np.float64]:
        """Return (arm, task) primary test metrics, mean over the compared seeds; NaN if an arm lacks one."""
        return np.array([[self._mean(arm, task) for task in self.tasks] for arm in arms])

    def _mean(self, arm: Arm, task: Task) -> float:
        values = [
            arm.results[seed].data["metrics"]["test"][task.name][task.metric]
            for seed in self.frontier.seeds
            if seed in arm.results
        ]
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known and len(known) == len(self.frontier.seeds) else np.nan

    def _hypervolume(self) -> dict[str, Any] | None:
        """Return the volume of the points above the baseline, alone and with each rival; axes in deltas."""
        if self.reference is None or len(self.tasks) > MOST_AXES:
            return None
        deltas = np.array([task.smallest_effect for task in self.tasks])
        reference = self._test([self.reference])[0]
        points = self._test(self.frontier.points)
        rivals = {test.arm.name: self._test([test.arm]) for test in self.tests}
        if np.isnan(reference).any():
            return None

        def volume(*sets: NDArray[np.float64]) -> float:
            every = np.concatenate(sets)
            return hypervolume(every[~np.isnan(every).any(axis=1)] / deltas, reference / deltas)

        return {
            "reference": dict(zip((task.name for task in self.tasks), reference.tolist(), strict=True)),
            "reference_arm": self.reference.name,
            "unit": f"deltas^{len(self.tasks)}",
            "frontier": volume(points),
            "with": {name: volume(points, rival) for name, rival in rivals.items()},
        }

    def _costs(self) -> dict[str, Any]:
        """Return the cost of all points with all seeds, and its ratio to the chosen weights with `seeds`."""
        frontier = self.frontier
        total = sum(len(p.results) * p.mean_cost("wall_seconds") for p in frontier.points)
        one = (
            len(frontier.chosen.results) * frontier.chosen.mean_cost("wall_seconds") if frontier.chosen else 0
        )
        return {
            "runs": sum(len(point.results) for point in frontier.points),
            "wall_seconds": total,
            "ratio_to_chosen": total / one if one else np.nan,
        }


def frontier_reports(
    frontiers: Sequence[Frontier],
    arms: Sequence[Arm],
    baselines: Sequence[Arm],
    schema: Schema,
    tasks: Sequence[Task],
    family: Family,
    declared: int = 0,
) -> tuple[FrontierReport, ...]:
    """Return each frontier with the tests of its rivals among the arms, all of which are one family.

    `declared` is the size of that family as a file declares it; rivals without a result still count.
    """
    tests = frontier_tests(frontiers, arms, schema, tasks, family, declared)
    return tuple(
        FrontierReport(
            frontier=frontier,
            tests=tuple(test for test in tests if test.frontier is frontier),
            reference=baseline_of(frontier.chosen or frontier.points[0], baselines),
            tasks=schema.tasks,
        )
        for frontier in frontiers
    )
