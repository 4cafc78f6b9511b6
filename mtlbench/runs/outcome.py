"""How a run ends, whatever kind of model it trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mtlbench.config import RunSpec
from mtlbench.results import Result, Scores

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run that has been trained and evaluated, before it is stored.

    Attributes:
        scores: the test split, scored.
        criterion: `mean_k M_k / delta_k` on validation at the deployable checkpoint, averaged over
            independent models.
        config: the method's options that its models were built from.
        costs: parameters, train_rows, train_seconds, rows_per_second, wall_seconds, scored_per_second (test
            rows, by all its models) and any other known cost.
        checkpoint: task -> steps of the deployable and of its own best checkpoint; empty if there are none.
        history: one entry per model: its tasks and evaluations.
        weights: of the deployable checkpoint, by name; empty if the models are not networks.
        constant: whether it predicts one number per task by design.
    """

    scores: Scores
    criterion: float
    config: Any
    costs: Mapping[str, float | None]
    checkpoint: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    weights: Mapping[str, "Tensor"] = field(default_factory=dict)
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one run: done now, reused from before, failed with a reason, or taken by another process."""

    spec: RunSpec
    status: Literal["done", "reused", "failed", "taken"]
    result: Result | None = None
    reason: str = ""
