"""What a balancer is given and what it owes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """The options of a balancer that has none."""


class Balancer:
    """Turns the losses of the tasks into their weights, for all replicas of a stack at once.

    It runs outside vmap, on (replica, task) tensors, and must not wait for the device.
    """

    Config: ClassVar[type[Any]] = NoOptions
    Grid: ClassVar[type[Any] | None] = None
    """The options of an arm that stands for a grid of runs, each with a `Config` out of `points`; among them
    `tuning_seeds`, how many seeds more each point has, by which one is chosen."""
    kind: ClassVar[Literal["loss"]] = "loss"
    """What it wants to see: the losses. (Gram matrices and Jacobians are kinds to come.)"""
    revision: ClassVar[int] = 1
    """Raised in the commit that may change a number; part of a run's identity."""

    def __init__(self, tasks: Sequence[str], configs: Sequence[Any]) -> None:
        """Tasks in the order of the loss columns; options (instances of the class's `Config`) a replica."""

    @classmethod
    def points(cls, tasks: Sequence[str], grid: Any) -> Sequence[Any]:
        """The options of every run that an arm with this `Grid` stands for."""
        raise NotImplementedError

    def weights(self, losses: Tensor) -> Tensor:
        """Map detached losses (replica, task) to weights of the same shape."""
        raise NotImplementedError

    def keep(self, positions: Tensor) -> None:
        """Go on with these replicas of the stack alone; a balancer with a state drops that of the others."""
