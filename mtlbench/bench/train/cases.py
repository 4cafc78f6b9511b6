"""The cases that `bench train` times: architectures, sizes and target ratios."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model, which every side trains for an epoch.

    Attributes:
        name: name of the case.
        method: our name of the architecture.
        network: widths of the bottom, or of each expert.
        tower: widths of each task's tower.
        experts: number of experts of MMoE; 0 if there are none.
        dim: width of the embeddings.
        rows: number of train rows; large models use fewer.
        target, floor: our speed relative to the fastest peer's: the goal, and the required minimum, if any.
    """

    name: str
    method: Literal["hard-sharing", "mmoe"]
    network: tuple[int, ...]
    tower: tuple[int, ...]
    experts: int = 0
    dim: int
    rows: int
    target: float
    floor: float | None


US, IN_BF16 = "mtlbench", "mtlbench, bf16"
BATCH = 2048
LEARNING_RATE = 1e-3
TASKS = ("click", "conversion")
EVALUATION_TARGET = 5.0
"""Target speed ratio of scoring the test split, in every case."""
TABLE_TARGET = 6.0
TABLE_SEEDS = 5
WIDE, SMALL = (512, 256), (64, 32)
CASES = {
    case.name: case
    for case in (
        Case(
            name="shared-bottom",
            method="hard-sharing",
            network=WIDE,
            tower=(64,),
            dim=16,
            rows=200 * BATCH,
            target=3.0,
            floor=2.5,
        ),
        Case(
            name="mmoe-small",
            method="mmoe",
            network=SMALL,
            tower=(16,),
            experts=4,
            dim=8,
            rows=200 * BATCH,
            target=4.0,
            floor=3.0,
        ),
        Case(
            name="mmoe-big",
            method="mmoe",
            network=WIDE,
            tower=(64,),
            experts=8,
            dim=16,
            rows=120 * BATCH,
            target=1.8,
            floor=1.5,
        ),
        Case(
            name="shared-bottom-128",
            method="hard-sharing",
            network=WIDE,
            tower=(64,),
            dim=128,
            rows=200 * BATCH,
            target=5.0,
            floor=4.0,
        ),
    )
}
"""The cases by name. All have batch normalisation, since torch-rechub's layers always do."""
TABLE = Case(
    name="table",
    method="mmoe",
    network=SMALL,
    tower=(16,),
    experts=4,
    dim=8,
    rows=100 * BATCH,
    target=TABLE_TARGET,
    floor=None,
)
"""Sizes of the whole table: single-task, hard and soft sharing, MMoE; a peer runs those that it has."""
