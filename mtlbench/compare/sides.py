"""Who is held against whom."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtlbench.compare.arms import Arm, group
from mtlbench.compare.frontier import Frontier, gather
from mtlbench.methods import METHODS
from mtlbench.results import Result
from mtlbench.schema import Schema


@dataclass(frozen=True, slots=True)
class Sides:
    """All arms, each frontier as its chosen point.

    Attributes:
        everyone: all of them.
        frontiers: with all their points.
        baselines: what the others are held against.
        arms: the others.
    """

    everyone: list[Arm]
    frontiers: list[Frontier]
    baselines: list[Arm]
    arms: list[Arm]


def sides(results: Sequence[Result], schema: Schema, baseline: str) -> Sides:
    """The arms of these results, and those of the method that is the baseline.

    Raises:
        UsageError: two results have one arm and seed.
        DataError: the results are not all of one preparation of the data.
    """
    everyone, frontiers = gather(group(results), schema)
    tuned = [frontier.chosen for frontier in frontiers]
    baselines = [arm for arm in everyone if arm.method == baseline and arm not in tuned]
    return Sides(everyone, frontiers, baselines, [arm for arm in everyone if arm not in baselines])


def about_sharing(arm: Arm, baseline: str) -> bool:
    """Whether one side shares and the other does not, which is what a planted truth is about."""
    shares = [name in METHODS and METHODS[name].family == "sharing" for name in (arm.method, baseline)]
    return shares == [True, False]
