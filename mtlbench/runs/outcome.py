"""What a run ends with, whatever kind of model it trained."""

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
        criterion: `mean_k M_k / delta_k` on validation at the deployable checkpoint; the mean over
            independent models.
        config: the method's options as its models were built from them.
        costs: parameters, train_rows, train_seconds, rows_per_second and whatever else is known.
        checkpoint: task -> steps of the deployable and of its own best one; empty where there are none.
        history: an entry a model: its tasks and evaluations.
        weights: of the deployable checkpoint, by name; empty where the models are no networks.
        constant: whether it predicts one number a task, and means it.
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
    """A run that came to nothing, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run: done now, done before, failed and why, or taken: another process is at it."""

    spec: RunSpec
    status: Literal["done", "reused", "failed", "taken"]
    result: Result | None = None
    reason: str = ""
