"""The outcome of training one replica: checkpoints, history, costs; also as plain values and tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mtlbench.train.blueprint import Replica, Weights


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights at one evaluation, and the criterion that chose them."""

    step: int
    criterion: float
    weights: Weights = field(repr=False)


@dataclass(slots=True)
class Trained:
    """The outcome of training one replica, so far or in the end.

    Attributes:
        replica: the replica that was trained.
        deployable: the headline checkpoint; None if training failed before its first evaluation.
        best: column of the label matrix -> the checkpoint best for that task alone.
        history: one entry per evaluation: step, epoch, and per task the train loss, the validation metric and
            the balancer's weight; loss and weight are averages since the last entry. At most `MOST_LOOKS`
            entries have `diagnostics`.
        rows: number of rows trained on until the deployable checkpoint was settled. What the checkpoints
            of single tasks take beyond that is the protocol's cost, not the method's.
        seconds: the replica's share of its stack's time, until then.
        failure: why training failed; None if it did not.
        stale: criterion (None: the deployable one) -> evaluations since its best.
    """

    replica: Replica
    deployable: Checkpoint | None = None
    best: dict[int, Checkpoint] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0
    seconds: float = 0.0
    failure: str | None = None
    stale: dict[int | None, int] = field(default_factory=dict)

    def settled(self, criterion: int | None, patience: int) -> bool:
        """Return whether that criterion's checkpoint is final."""
        return self.stale.get(criterion, 0) >= patience

    def all_settled(self, patience: int) -> bool:
        """Return whether the checkpoints of all criteria are final."""
        return all(self.settled(criterion, patience) for criterion in (None, *self.replica.tasks))

    def plain(self) -> dict[str, Any]:
        """Return everything but the weights and the replica, as JSON; `restored` is the inverse."""
        best = {str(k): [c.step, c.criterion] for k, c in self.best.items()}
        return {
            "deployable": self.deployable and [self.deployable.step, self.deployable.criterion],
            "best": best,
            "history": self.history,
            "rows": self.rows,
            "seconds": self.seconds,
            "failure": self.failure,
            "stale": [[criterion, number] for criterion, number in self.stale.items()],
        }

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights of all checkpoints, each once, as `STEP/NAME`."""
        checkpoints = [c for c in (self.deployable, *self.best.values()) if c is not None]
        return {f"{c.step}/{name}": tensor for c in checkpoints for name, tensor in c.weights.items()}

    @classmethod
    def restored(cls, replica: Replica, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Trained":
        """Rebuild an outcome from the output of `plain` and `tensors`."""
        weights: dict[int, Weights] = {}
        for key, tensor in tensors.items():
            step, _, name = key.partition("/")
            weights.setdefault(int(step), {})[name] = tensor

        def checkpoint(step: int, criterion: float) -> Checkpoint:
            return Checkpoint(step, criterion, weights[step])

        return cls(
            replica,
            deployable=plain["deployable"] and checkpoint(*plain["deployable"]),
            best={int(k): checkpoint(*kept) for k, kept in plain["best"].items()},
            stale=dict(map(tuple, plain["stale"])),
            **{name: plain[name] for name in ("history", "rows", "seconds", "failure")},
        )
