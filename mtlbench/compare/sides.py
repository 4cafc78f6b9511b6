"""Sides: which baseline each arm is compared with, and which arms are judged together."""

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
"""Names of two families of comparisons, each judged together."""
CONTROLS = ("baseline", "floor")
"""Registry families of the controls: methods that show where the gains of other methods come from."""


class Held(Protocol):
    """An arm to compare with a baseline: one with results, or one that a benchmark file names."""

    @property
    def method(self) -> str:
        """The method's registered name."""

    @property
    def balancer(self) -> str:
        """The balancer's registered name."""

    @property
    def family(self) -> str:
        """The family that a file declares the arm to be judged in; empty if none does."""


AnyArm = TypeVar("AnyArm", bound=Held)


@dataclass(frozen=True, slots=True)
class Sides:
    """All arms, with each frontier represented by its chosen point.

    Attributes:
        everyone: all arms.
        frontiers: the frontiers with all their points.
        baselines: the arms that the others are compared with.
        families: the other arms by family: `OF_METHODS` first, then those that a file names, then
            `OF_CONTROLS`, without empty ones. If there are only controls, the table is about them and they
            are listed as `OF_METHODS`.
    """

    everyone: list[Arm]
    frontiers: list[Frontier]
    baselines: list[Arm]
    families: Mapping[str, list[Arm]]

    @property
    def arms(self) -> list[Arm]:
        """All arms that are compared with a baseline, family by family."""
        return [arm for arms in self.families.values() for arm in arms]


def sides(
    results: Sequence[Result], schema: Schema, baseline: str, declared: Mapping[str, str] | None = None
) -> Sides:
    """Split the arms of these results into baselines and families; `declared` is the `families` of `group`.

    Raises:
        UsageError: two results have the same arm and seed.
        DataError: the results come from different preparations of the data.
    """
    everyone, frontiers = gather(group(results, declared), schema)
    tuned = [frontier.chosen for frontier in frontiers]
    baselines = baselines_among([arm for arm in everyone if arm not in tuned], baseline)
    return Sides(everyone, frontiers, baselines, families([arm for arm in everyone if arm not in baselines]))


def baselines_among(arms: Sequence[AnyArm], baseline: str) -> list[AnyArm]:
    """Return the arms of the baseline method that the others are compared with.

    These are the ones with equal weights, if any: the same method with a balancer is then one of the others.
    """
    mine = [arm for arm in arms if arm.method == baseline]
    return [arm for arm in mine if arm.balancer == EQUAL] or mine


def is_control(method: str) -> bool:
    """Return whether a method is registered as a baseline or a floor."""
    return method in METHODS and METHODS[method].family in CONTROLS


def families(arms: Sequence[AnyArm]) -> dict[str, list[AnyArm]]:
    """Group arms into the families that are judged together, as in `Sides.families`."""
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
    """Return how many comparisons a file declares in a family; 0 if it declares none.

    Args:
        family: the family's name, as in `Sides.families`.
        arms: its arms, all with a result.
        declared: family -> its size. If it has methods too but none of them has a result, the controls are
            listed as `OF_METHODS` here, and their declared size is still that of `OF_CONTROLS`.
    """
    undeclared = family == OF_METHODS and OF_CONTROLS in declared
    alone = undeclared and all(is_control(arm.method) for arm in arms)
    return declared.get(OF_CONTROLS if alone else family, 0)


def about_sharing(arm: Arm, baseline: str) -> bool:
    """Return whether the arm shares and the baseline does not, which is what a planted truth is about."""
    shares = [name in METHODS and not is_control(name) for name in (arm.method, baseline)]
    return shares == [True, False]
