"""What a balancer is given and what it owes: three kinds, by what they want to see of a step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """The options of a balancer that has none."""


class Balancer:
    """Turns the losses of the tasks into their weights, for all replicas of a stack at once.

    It runs outside vmap, on (replica, task) tensors; no replica may depend on another. What it remembers from
    step to step it keeps by `remember`, a leading axis of replicas in each tensor.

    Attributes:
        tasks: names, in the order of the loss columns.
        configs: options of each replica.
        generators: of each replica, for a balancer that draws.
    """

    Config: ClassVar[type[Any]] = NoOptions
    Grid: ClassVar[type[Any] | None] = None
    """The options of an arm that stands for a grid of runs, each with a `Config` out of `points`; among them
    `tuning_seeds`, how many seeds more each point has, by which one is chosen."""
    kind: ClassVar[Literal["loss", "gram", "jacobian"]] = "loss"
    """What it wants to see: the losses; the Gram matrix of the task gradients; or these gradients."""
    syncs: ClassVar[bool] = False
    """Whether it solves on the host, and so makes each step wait for the device."""
    replays: ClassVar[bool] = False
    """Whether a step can be captured on a CUDA device: its weights are tensors that stay where they are."""
    wants_after: ClassVar[bool] = False
    """Whether it wants the losses after the step too, on the same batch and masks: a second forward pass."""
    extra: ClassVar[str] = ""
    """The extra of ours that installs what it needs: pip install 'mtlbench[EXTRA]'."""
    revision: ClassVar[int] = 1
    """Raised in the commit that may change a number; part of a run's identity."""

    def __init__(
        self, tasks: Sequence[str], configs: Sequence[Any], generators: Sequence[Generator] = ()
    ) -> None:
        """Without generators every replica has one of seed 0, which is for looking at, not for training."""
        self.tasks, self.configs = tuple(tasks), list(configs)
        self.generators = list(generators) or [Generator().manual_seed(0) for _ in configs]
        self._memory: dict[str, Tensor] = {}

    @classmethod
    def points(cls, tasks: Sequence[str], grid: Any) -> Sequence[Any]:
        """The options of every run that an arm with this `Grid` stands for."""
        raise NotImplementedError

    def weights(self, losses: Tensor) -> Tensor:
        """Map detached losses (replica, task) to weights of the same shape."""
        raise NotImplementedError

    def after(self, losses: Tensor) -> None:
        """Take the detached losses (replica, task) after the step; called where `wants_after`."""

    def remember(self, name: str, first: Callable[[], Tensor]) -> Tensor:
        """The tensor (replica, ...) kept under `name`, at first what `first` makes; update it in place."""
        if name not in self._memory:
            self._memory[name] = first()
        return self._memory[name]

    def option(self, name: str, like: Tensor) -> Tensor:
        """An option as a column (replica, 1), of the type and on the device of `like`."""
        return self.remember(
            f"option {name}",
            lambda: torch.tensor([[float(getattr(c, name))] for c in self.configs]).to(like),
        )

    def state(self) -> dict[str, Tensor]:
        """All that it remembers, and where its generators stand."""
        return {
            **{f"memory/{name}": tensor for name, tensor in self._memory.items()},
            **{f"generator/{i}": one.get_state() for i, one in enumerate(self.generators)},
        }

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Take what `state` gave, of the same replicas."""
        for key, tensor in state.items():
            kind, _, name = key.partition("/")
            if kind == "memory":
                self._memory[name] = tensor.to(device)
            elif kind == "generator":
                self.generators[int(name)].set_state(tensor)

    def keep(self, positions: Tensor) -> None:
        """Go on with these replicas of the stack alone; what is remembered of the others is dropped."""
        self.configs = [self.configs[i] for i in positions.tolist()]
        self.generators = [self.generators[i] for i in positions.tolist()]
        self._memory = {name: t[positions.to(t.device)] for name, t in self._memory.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MixOptions:
    """Options of all that mix task gradients.

    Attributes:
        rescale: scale the weights to sum to the number of tasks (their sizes, where some are negative), so
            that a learning rate means the same with every balancer.
    """

    rescale: bool = True


class GramBalancer(Balancer):
    """Weighs the task gradients on shared parameters, from how long they are and how they agree.

    What is shared is what the losses of two tasks or more reach. Parameters of a task's own are moved by its
    loss weighed by `own_weights`. Embeddings enter as the looked-up rows: an id that stands twice in a batch
    counts as two parameters (the Gram matrix is then that of the activations, not of the table).
    """

    Config: ClassVar[type[Any]] = MixOptions
    kind: ClassVar[Literal["loss", "gram", "jacobian"]] = "gram"

    def weights(self, losses: Tensor, gram: Tensor | None = None) -> Tensor:
        """Weights (replica, task) from detached losses and the Gram matrix (replica, task, task)."""
        assert gram is not None
        return rescaled(self.mix(losses, gram), self.option("rescale", losses))

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        """Weights on the method's own scale."""
        raise NotImplementedError

    def own_weights(self, losses: Tensor) -> Tensor:
        """What weighs each task's loss on parameters of its own; asked after `weights`."""
        return torch.ones_like(losses)


@dataclass(frozen=True, slots=True)
class Jacobian:
    """The gradients of all tasks on what they share.

    Attributes:
        dense: a shared parameter each, (replica, task, ...).
        embedded: a shared embedding table each, the batch's rows: (replica, task, batch, column, dim).
    """

    dense: tuple[Tensor, ...]
    embedded: tuple[Tensor, ...]

    def __iter__(self) -> Iterator[Tensor]:
        return iter((*self.dense, *self.embedded))

    def gram(self) -> Tensor:
        """Inner products of the tasks' gradients over all of it, (replica, task, task)."""
        flat = (part.flatten(start_dim=2) for part in self)
        return torch.stack([one @ one.mT for one in flat]).sum(dim=0)


class JacobianBalancer(GramBalancer):
    """Makes one gradient out of the task gradients themselves, where weights a task do not tell it."""

    kind = "jacobian"

    def combine(self, losses: Tensor, jacobian: Jacobian) -> list[Tensor]:
        """One gradient a part of the Jacobian, in its order: (replica, ...) each."""
        raise NotImplementedError


def present(losses: Tensor) -> Tensor:
    """Which tasks have a row in the batch, (replica, task): a loss of exactly 0 is a task's without one.

    Such a task is absent: what a balancer has learned of it stays as it is, and the others get what they
    would get among themselves. Not `losses > 0`, since a loss may be negative (escm2-dr's).
    """
    return losses != 0


def softmax_among(here: Tensor, values: Tensor) -> Tensor:
    """Shares (replica, task) of the tasks that are `here`, which sum to 1 over them; 0 for the others."""
    return values.masked_fill(~here, -torch.inf).softmax(dim=1).masked_fill(~here, 0.0)


def rescaled(weights: Tensor, wanted: Tensor) -> Tensor:
    """Weights (replica, task) scaled to sum to the number of tasks where `wanted` (replica, 1) is not 0.

    Where some are negative their sizes are what sums to it: their sum may be as good as 0, and the step then
    without bounds. Weights that are all 0 stay so.
    """
    total = weights.abs().sum(dim=1, keepdim=True)
    scale = torch.where((total > 1e-12) & (wanted > 0), weights.shape[1] / total.clamp(min=1e-12), 1.0)
    return weights * scale
