"""The fixed-weight frontier: the static weights that validation chooses from a grid.

A balancer helps only if it does better than this choice: doing better than equal weights is not enough (for
the papers see `mtlbench.balancing.static_frontier`). The points are gathered from the results. One set of
weights is chosen for all seeds and enters the comparison as one arm that was tuned.

The choice is made on validation, by tuning seeds that are used in no comparison. Chosen by the compared
seeds, the best of P points would partly be the luckiest one, on test as on validation, which see the same
trained weights. In the worst case (no point better than another, all luck due to the seeds) a rival was then
falsely called worse, at a nominal 2.5 %, in 11 and 18 % of 40,000 simulations with 5 seeds (11 and 32
points), in 14 and 21 % with 10, and the chosen point falsely better than single-task as often; with separate
seeds for the choice in 2.5 to 2.6 %.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtlbench.balancing import BALANCERS
from mtlbench.compare.arms import Arm, named
from mtlbench.config import FIRST_TUNING_SEED
from mtlbench.results import Result
from mtlbench.schema import Schema, Task

FAMILY = "frontier"
"""Registry family of the balancers whose runs are points of a grid."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """The points of one method with one set of options.

    Attributes:
        name: name of the arm that represents the frontier.
        points: the arms that differ only in their weights.
        tuning_seeds: the seeds by which the points were compared with each other.
        criteria: each point's validation criterion, mean over the tuning seeds; NaN if it lacks one of them.
        seeds: the other seeds, by which arms are compared.
        chosen: the point with the best criterion, without its tuning seeds, named, with its trials; None if
            no point can be chosen.
    """

    name: str
    points: tuple[Arm, ...]
    tuning_seeds: tuple[int, ...]
    criteria: tuple[float, ...]
    seeds: tuple[int, ...]
    chosen: Arm | None = None

    @property
    def trials(self) -> int:
        """Number of points that could have been chosen."""
        return sum(not math.isnan(criterion) for criterion in self.criteria)

    def rivals(self, arms: Iterable[Arm]) -> list[Arm]:
        """Return the arms of the same method and options that are not points of a grid."""
        mine = self.points[0].identity
        return [
            arm
            for arm in arms
            if all(arm.identity[key] == mine[key] for key in ("method", "method_options"))
            and not _is_point(arm)
        ]


def gather(arms: Sequence[Arm], schema: Schema) -> tuple[list[Arm], list[Frontier]]:
    """Replace the points of each frontier by the chosen one.

    Returns:
        The arms, named anew, and the frontiers. A frontier without a chosen point leaves no arm.
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
    """Choose the point with the best mean criterion over the tuning seeds.

    A point that lacks one of these seeds (it failed there, or has not been trained yet) cannot be chosen.
    """
    points = sorted(points, key=lambda point: json.dumps(point.identity["balancer_options"]))
    shared = _shared_seeds(points)
    tuning = tuple(seed for seed in shared if seed >= FIRST_TUNING_SEED)
    criteria = tuple(
        float(np.mean([criterion(point.results[s], tasks) for s in tuning]))
        if tuning and all(s in point.results for s in tuning)
        else math.nan
        for point in points
    )
    seeds = tuple(seed for seed in shared if seed < FIRST_TUNING_SEED)
    frontier = Frontier(points[0].short_name, tuple(points), tuning, criteria, seeds)
    if frontier.trials == 0:
        return frontier
    best = points[int(np.nanargmax(criteria))]
    compared = {seed: result for seed, result in best.results.items() if seed < FIRST_TUNING_SEED}
    return replace(frontier, chosen=replace(best, results=compared, trials=frontier.trials))


def _shared_seeds(points: Sequence[Arm]) -> list[int]:
    """Return the seeds that at least half of the points have, which excludes those of an interrupted grid."""
    everyone = sorted({seed for point in points for seed in point.results})
    return [s for s in everyone if 2 * sum(s in p.results for p in points) >= len(points)]


def criterion(result: Result, tasks: Sequence[Task]) -> float:
    """Return what the deployable checkpoint was chosen by, `mean_k M_k / delta_k` on validation.

    It is NaN if unknown; for results without `checkpoint_criterion` it is computed from their history.
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
