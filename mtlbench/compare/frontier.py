"""The fixed-weight frontier: which static weights validation chooses out of a grid of them.

A balancer helps only if it does better than this choice: doing better than equal weights is not enough (the
papers stand in `mtlbench.balancing.static_frontier`). The points are gathered from the results. One set of
weights is chosen for all seeds, by validation alone, and stands in the comparison as one arm that was tuned.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtlbench.balancing import BALANCERS
from mtlbench.compare.arms import Arm, named, short_name
from mtlbench.results import Result
from mtlbench.schema import Schema, Task

FAMILY = "frontier"
"""The family of balancers whose runs are points of a grid."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """The points of one method with one set of options.

    Attributes:
        name: of the arm that stands for it.
        points: the arms that differ in their weights alone.
        seeds: those over which the points were held against each other.
        criteria: of each point the validation criterion, mean over those seeds; NaN where it lacks one.
        chosen: the point with the best criterion, named and with its trials; None where there is none.
    """

    name: str
    points: tuple[Arm, ...]
    seeds: tuple[int, ...]
    criteria: tuple[float, ...]
    chosen: Arm | None

    @property
    def trials(self) -> int:
        """Points that could have been chosen."""
        return sum(not math.isnan(criterion) for criterion in self.criteria)

    def rivals(self, arms: Iterable[Arm]) -> list[Arm]:
        """The arms of the same method and options whose weights are not of this grid."""
        mine = self.points[0].identity
        return [
            arm
            for arm in arms
            if all(arm.identity[key] == mine[key] for key in ("method", "method_options"))
            and not _is_point(arm)
        ]


def gather(arms: Sequence[Arm], schema: Schema) -> tuple[list[Arm], list[Frontier]]:
    """Put each frontier's chosen point in the place of its points.

    Returns:
        The arms, named anew, and the frontiers. One of which no point can be chosen leaves no arm.
    """
    grouped: dict[str, list[Arm]] = {}
    for arm in arms:
        identity = {**arm.identity, "balancer_options": None} if _is_point(arm) else arm.identity
        grouped.setdefault(json.dumps(identity, sort_keys=True), []).append(arm)
    frontiers = {
        key: _choose(points, schema.tasks) for key, points in grouped.items() if _is_point(points[0])
    }
    standing = {
        key: frontiers[key].chosen if key in frontiers else members[0] for key, members in grouped.items()
    }
    kept = {key: arm for key, arm in standing.items() if arm is not None}
    listed = dict(zip(kept, named(list(kept.values())), strict=True))
    return list(listed.values()), [
        replace(frontier, name=listed[key].name, chosen=listed[key]) if key in listed else frontier
        for key, frontier in frontiers.items()
    ]


def _is_point(arm: Arm) -> bool:
    entry = BALANCERS.get(str(arm.identity["balancer"]))
    return entry is not None and entry.family == FAMILY


def _choose(points: Sequence[Arm], tasks: Sequence[Task]) -> Frontier:
    """The point with the best mean criterion, over the seeds that at least half of the points have.

    A point that lacks one of these seeds (it failed there, or has not been trained yet) cannot be chosen, and
    a seed that most points lack (the grid was interrupted there) does not count.
    """
    everyone = sorted({seed for point in points for seed in point.results})
    seeds = tuple(s for s in everyone if 2 * sum(s in p.results for p in points) >= len(points))
    criteria = tuple(
        float(np.mean([criterion(point.results[s], tasks) for s in seeds]))
        if seeds and all(s in point.results for s in seeds)
        else math.nan
        for point in points
    )
    frontier = Frontier(short_name(points[0]), tuple(points), seeds, criteria, None)
    if frontier.trials == 0:
        return frontier
    return replace(frontier, chosen=replace(points[int(np.nanargmax(criteria))], trials=frontier.trials))


def criterion(result: Result, tasks: Sequence[Task]) -> float:
    """What the deployable checkpoint was chosen by: `mean_k M_k / delta_k` on validation; NaN if unknown.

    Results without `checkpoint_criterion` have it in their history.
    """
    stored = result.data.get("checkpoint_criterion")
    if stored is not None:
        return float(stored)
    checkpoint, units = result.data.get("checkpoint", {}), {t.name: t.smallest_effect for t in tasks}
    values = [
        value / units[task]
        for model in result.data.get("history", ())
        for evaluation in model["evaluations"]
        for task, value in evaluation["validation"].items()
        if evaluation["step"] == checkpoint[task]["deployable"]
    ]
    return float(np.mean(values)) if values else math.nan
