"""What is timed: the architectures, sizes and ratios that `bench train` is about."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model, trained for an epoch by everybody.

    Attributes:
        name: of the case.
        method: our name of the architecture.
        network: widths of the bottom, or of each expert.
        tower: widths of each task's tower.
        experts: of MMoE; 0 where there are none.
        dim: of the embeddings.
        rows: to train on; large models take fewer.
        target, floor: our speed against the fastest peer's: what we want, and what must hold, if anything.
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
"""Of scoring the test split, in every case."""
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
"""All of them have batch normalisation, since torch-rechub's layers always do."""
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
"""The sizes of the whole table: single-task, hard and soft sharing, MMoE; of a peer what it has of these."""
