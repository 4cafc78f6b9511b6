"""The contract of balancers; three kinds read losses, inner products of gradients, or gradients."""

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

    It runs outside vmap, on (replica, task) tensors; no replica may depend on another. State kept between
    steps goes through `remember`, in tensors whose first axis is the replica.

    Attributes:
        tasks: names, in the order of the loss columns.
        configs: options of each replica.
        generators: random generator of each replica, for balancers that draw.
    """

    Config: ClassVar[type[Any]] = NoOptions
    Grid: ClassVar[type[Any] | None] = None
    """Options of an arm that stands for a grid of runs, one `Config` of `points` each. They include
    `tuning_seeds`, the number of extra seeds per point, by which the best point is chosen."""
    kind: ClassVar[Literal["loss", "gram", "jacobian"]] = "loss"
    """Input of the balancer: the losses, the Gram matrix of the task gradients, or these gradients."""
    syncs: ClassVar[bool] = False
    """Whether the balancer solves on the host, which makes each step wait for the device."""
    replays: ClassVar[bool] = False
    """Whether a step can be captured on a CUDA device: its weights are tensors that stay in place."""
    wants_after: ClassVar[bool] = False
    """Whether the balancer also needs the losses after the step, on the same batch and masks: a second
    forward pass."""
    extra: ClassVar[str] = ""
    """The extra that installs the balancer's requirements: pip install 'mtlbench[EXTRA]'."""
    revision: ClassVar[int] = 1
    """Version of its numbers, raised in any commit that may change one; part of a run's identity."""

    def __init__(
        self, tasks: Sequence[str], configs: Sequence[Any], generators: Sequence[Generator] = ()
    ) -> None:
        """Without `generators`, every replica gets one with seed 0: for inspection, not for training."""
        self.tasks, self.configs = tuple(tasks), list(configs)
        self.generators = list(generators) or [Generator().manual_seed(0) for _ in configs]
        self._memory: dict[str, Tensor] = {}

    @classmethod
    def points(cls, tasks: Sequence[str], grid: Any) -> Sequence[Any]:
        """Return the options of every run that an arm with this `Grid` stands for."""
        raise NotImplementedError

    def weights(self, losses: Tensor) -> Tensor:
        """Map detached losses (replica, task) to weights of the same shape."""
        raise NotImplementedError

    def after(self, losses: Tensor) -> None:
        """Take the detached losses (replica, task) after the step; called where `wants_after`."""

    def remember(self, name: str, first: Callable[[], Tensor]) -> Tensor:
        """Return the tensor (replica, ...) kept under `name`, created by `first`; update it in place."""
        if name not in self._memory:
            self._memory[name] = first()
        return self._memory[name]

    def option(self, name: str, like: Tensor) -> Tensor:
        """Return an option as a column (replica, 1), of the type and on the device of `like`."""
        return self.remember(
            f"option {name}",
            lambda: torch.tensor([[float(getattr(c, name))] for c in self.configs]).to(like),
        )

    def state(self) -> dict[str, Tensor]:
        """Return all remembered tensors and the states of the generators."""
        return {
            **{f"memory/{name}": tensor for name, tensor in self._memory.items()},
            **{f"generator/{i}": one.get_state() for i, one in enumerate(self.generators)},
        }

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore the result of `state`, for the same replicas."""
        for key, tensor in state.items():
            kind, _, name = key.partition("/")
            if kind == "memory":
                self._memory[name] = tensor.to(device)
            elif kind == "generator":
                self.generators[int(name)].set_state(tensor)

    def keep(self, positions: Tensor) -> None:
        """Keep only these replicas of the stack; the state of the others is dropped."""
        self.configs = [self.configs[i] for i in positions.tolist()]
        self.generators = [self.generators[i] for i in positions.tolist()]
        self._memory = {name: t[positions.to(t.device)] for name, t in self._memory.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class MixOptions:
    """Options of all balancers that mix task gradients.

    Attributes:
        rescale: scale the weights so that their absolute values sum to the number of tasks; a learning
            rate then means the same with every balancer.
    """

    rescale: bool = True


class GramBalancer(Balancer):
    """Weights the task gradients on shared parameters by their lengths and agreement.

    Shared parameters are those that the losses of two or more tasks reach. A task's own parameters are moved
    by its loss, weighted by `own_weights`. Embeddings enter as the looked-up rows: an id that occurs twice in
    a batch counts as two parameters (the Gram matrix is then that of the activations, not of the table).
    """

    Config: ClassVar[type[Any]] = MixOptions
    kind: ClassVar[Literal["loss", "gram", "jacobian"]] = "gram"

    def weights(self, losses: Tensor, gram: Tensor | None = None) -> Tensor:
        """Compute weights (replica, task) from detached losses and the Gram matrix (replica, task, task)."""
        assert gram is not None
        return rescaled(self.mix(losses, gram), self.option("rescale", losses))

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        """Compute weights on the method's own scale."""
        raise NotImplementedError

    def own_weights(self, losses: Tensor) -> Tensor:
        """Return each task's loss weight for its own parameters; called after `weights`."""
        return torch.ones_like(losses)


@dataclass(frozen=True, slots=True)
class Jacobian:
    """The gradients of all tasks on the shared parameters.

    Attributes:
        dense: one tensor per shared parameter, (replica, task, ...).
        embedded: one tensor per shared embedding table, on the batch's rows:
            (replica, task, batch, column, dim).
    """

    dense: tuple[Tensor, ...]
    embedded: tuple[Tensor, ...]

    def __iter__(self) -> Iterator[Tensor]:
        return iter((*self.dense, *self.embedded))

    def gram(self) -> Tensor:
        """Compute the inner products of the tasks' gradients over all parts, (replica, task, task)."""
        flat = (part.flatten(start_dim=2) for part in self)
        return torch.stack([one @ one.mT for one in flat]).sum(dim=0)


class JacobianBalancer(GramBalancer):
    """Combines the task gradients themselves, for rules that one weight per task cannot express."""

    kind = "jacobian"

    def combine(self, losses: Tensor, jacobian: Jacobian) -> list[Tensor]:
        """Return one gradient per part of the Jacobian, in its order: (replica, ...) each."""
        raise NotImplementedError


def present(losses: Tensor) -> Tensor:
    """Return which tasks have a row in the batch, (replica, task): those whose loss is not exactly 0.

    The others are absent: what a balancer has learned about them stays as it is, and the present tasks get
    the weights that they would get without them. Not `losses > 0`, since a loss may be negative (escm2-dr's).
    """
    return losses != 0


def softmax_among(here: Tensor, values: Tensor) -> Tensor:
    """Compute a softmax (replica, task) over the tasks that are `here`; 0 for the others."""
    return values.masked_fill(~here, -torch.inf).softmax(dim=1).masked_fill(~here, 0.0)


def rescaled(weights: Tensor, wanted: Tensor) -> Tensor:
    """Scale weights (replica, task) to sum to the number of tasks, where `wanted` (replica, 1) is not 0.

    Their absolute values are summed: with negative weights the plain sum may be nearly 0, and the step then
    unbounded. Weights that are all 0 stay so.
    """
    total = weights.abs().sum(dim=1, keepdim=True)
    scale = torch.where((total > 1e-12) & (wanted > 0), weights.shape[1] / total.clamp(min=1e-12), 1.0)
    return weights * scale
