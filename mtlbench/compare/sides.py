"""Who is held against whom, and who is judged with whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mtlbench.compare.arms import Arm, group
from mtlbench.compare.frontier import Frontier, gather
from mtlbench.config import EQUAL
from mtlbench.methods import METHODS
from mtlbench.results import Result
from mtlbench.schema import Schema

OF_METHODS, OF_CONTROLS = "methods", "controls"
"""Families of comparisons: what is judged together."""
CONTROLS = ("baseline", "floor")
"""Families of registered methods that say what the gains of the others are made of."""


class Held(Protocol):
    """What is held against a baseline: an arm of results, or one that a benchmark file names."""

    @property
    def method(self) -> str:
        """The method's registered name."""

    @property
    def balancer(self) -> str:
        """The balancer's registered name."""

    @property
    def family(self) -> str:
        """The family that a file declares it to be judged in; empty where none does."""


AnyArm = TypeVar("AnyArm", bound=Held)


@dataclass(frozen=True, slots=True)
class Sides:
    """All arms, each frontier as its chosen point.

    Attributes:
        everyone: all of them.
        frontiers: with all their points.
        baselines: what the others are held against.
        families: the others, `OF_METHODS` first, then those that a file names, then `OF_CONTROLS`, as far as
            there are any. Where there are controls alone, the table is about them and they stand for
            `OF_METHODS`.
    """

    everyone: list[Arm]
    frontiers: list[Frontier]
    baselines: list[Arm]
    families: Mapping[str, list[Arm]]

    @property
    def arms(self) -> list[Arm]:
        """All that are held against a baseline, family by family."""
        return [arm for arms in self.families.values() for arm in arms]


def sides(
    results: Sequence[Result], schema: Schema, baseline: str, declared: Mapping[str, str] | None = None
) -> Sides:
    """The arms of these results, and those of the method that is the baseline; `declared` as in `group`.

    Raises:
        UsageError: two results have one arm and seed.
        DataError: the results are not all of one preparation of the data.
    """
    everyone, frontiers = gather(group(results, declared), schema)
    tuned = [frontier.chosen for frontier in frontiers]
    baselines = baselines_among([arm for arm in everyone if arm not in tuned], baseline)
    return Sides(everyone, frontiers, baselines, families([arm for arm in everyone if arm not in baselines]))


def baselines_among(arms: Sequence[AnyArm], baseline: str) -> list[AnyArm]:
    """The arms of that method that the others are held against.

    Those with equal weights, where there are any: the same method with a balancer is then one of the others.
    """
    mine = [arm for arm in arms if arm.method == baseline]
    return [arm for arm in mine if arm.balancer == EQUAL] or mine


def is_control(method: str) -> bool:
    """Whether a method is a baseline or a floor; one that nobody registered is not."""
    return method in METHODS and METHODS[method].family in CONTROLS


def families(arms: Sequence[AnyArm]) -> dict[str, list[AnyArm]]:
    """Who is judged with whom, as `Sides.families` says."""
    found: dict[str, list[AnyArm]] = {OF_METHODS: []}
    controls = []
    for arm in arms:
        if not arm.family and is_control(arm.method):
            controls.append(arm)
        else:
            found.setdefault(arm.family or OF_METHODS, []).append(arm)
    found = {name: members for name, members in found.items() if members}
    if controls:
        found[OF_CONTROLS if found else OF_METHODS] = controls
    return found


def declared_size(family: str, arms: Sequence[Held], declared: Mapping[str, int]) -> int:
    """Comparisons that a file declares in a family; 0 where it declares none.

    Args:
        family: its name among those whose arms have a result.
        arms: those arms.
        declared: family -> its size. Where it has methods too, but none of them a result, controls stand for
            `OF_METHODS` here, and are still those that it declares.
    """
    undeclared = family == OF_METHODS and OF_CONTROLS in declared
    alone = undeclared and all(is_control(arm.method) for arm in arms)
    return declared.get(OF_CONTROLS if alone else family, 0)


def about_sharing(arm: Arm, baseline: str) -> bool:
    """Whether one side shares and the other does not, which is what a planted truth is about."""
    shares = [name in METHODS and not is_control(name) for name in (arm.method, baseline)]
    return shares == [True, False]
