"""How a run ends, whatever kind of model it trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mtlbench.config import RunSpec
from mtlbench.results import Result, Scores

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a run cost, over all its models.

    Attributes:
        parameters: number of learned numbers; None if unknown.
        dense_parameters, embedding_parameters: those of the networks' layers and of their embeddings; None
            for other models.
        train_rows: rows that training has seen, one row counted again in each epoch and for each model.
        train_seconds: time in training, validation included.
        rows_per_second: how fast a row of train passes through all models: 1 / sum of their seconds per row.
        wall_seconds: time in training and evaluation.
        scored_per_second: how fast a row of test is scored by all models.
    """

    parameters: int | None
    dense_parameters: int | None = None
    embedding_parameters: int | None = None
    train_rows: int
    train_seconds: float
    rows_per_second: float
    wall_seconds: float
    scored_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run that has been trained and evaluated, before it is stored.

    Attributes:
        scores: the test split, scored.
        criterion: `mean_k M_k / delta_k` on validation at the deployable checkpoint, averaged over
            independent models.
        config: the method's options that its models were built from.
        costs: what it cost.
        checkpoint: task -> steps of the deployable and of its own best checkpoint; empty if there are none.
        history: one entry per model: its tasks and evaluations.
        weights: of the deployable checkpoint, by name; empty if the models are not networks.
        constant: whether it predicts one number per task by design.
    """

    scores: Scores
    criterion: float
    config: Any
    costs: Costs
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
