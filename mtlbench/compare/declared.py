"""What a benchmark file declares of a comparison before anything is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The families of a benchmark file, unfinished runs included.

    What has no result yet counts towards the size of its family, as p = 1: it must not make the verdicts on
    the rest bolder. The defaults declare nothing: the family is whatever is compared.

    Attributes:
        name: of the benchmark.
        members: family (`Sides.families`) -> number of comparisons in it, as in `grid.family_sizes`.
        rivals: number of tests against the frontiers, as in `grid.rival_tests`.
        families: arm (`arms.identity_key`) -> the family that it is to be judged in.
    """

    name: str = ""
    members: Mapping[str, int] = field(default_factory=dict)
    rivals: int = 0
    families: Mapping[str, str] = field(default_factory=dict)


UNDECLARED = Declared()
