"""Common base of the balancers that weight task gradients by one of torchjd's rules.

torchjd (MIT; https://torchjd.org) has a weighting for nearly every published method: an object that maps the
Gram matrix of the task gradients to weights. Here each replica has its own object, since some of them keep
state; the matrix goes to the CPU in float64, and random draws come from the replica's own generator, so that
the numbers depend neither on the stack nor on the global generator.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from mtlbench.balancing.base import GramBalancer
from mtlbench.errors import UsageError

if TYPE_CHECKING:
    from torchjd.aggregation import Weighting

NOISE = 1e-5
"""Share of the largest eigenvalue below which another may be rounding error, since gradients are float32."""


class TorchjdBalancer(GramBalancer):
    """Weights from a torchjd weighting, replica by replica."""

    syncs = True
    extra = "balancers"

    def __init__(
        self, tasks: Sequence[str], configs: Sequence[Any], generators: Sequence[Generator] = ()
    ) -> None:
        super().__init__(tasks, configs, generators)
        try:
            self._weightings = [self.weighting(config) for config in configs]
        except ImportError as error:
            raise UsageError(
                f"{type(self).__name__} needs torchjd and its solvers: "
                f"pip install 'mtlbench[balancers]' ({error})."
            ) from error

    def weighting(self, config: Any) -> "Weighting[Any]":
        """Create torchjd's object; torchjd takes seconds to load, so import it in here."""
        raise NotImplementedError

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        """Ask each replica's object for its weights."""
        scaled, present = conditioned(gram.cpu())
        members = zip(self._weightings, self.generators, scaled, present, strict=True)
        return of_present(torch.stack([self._drawing(*member) for member in members]), present).to(losses)

    def ask(self, weighting: "Weighting[Any]", gram: Tensor, present: Tensor) -> Tensor:
        """Return the weights (task,) from one replica's object for its Gram matrix; tasks may be absent."""
        weights: Tensor = weighting(gram)
        return weights

    def state(self) -> dict[str, Tensor]:
        """Add the state of torchjd's objects."""
        kept = {f"{i}/{name}": t for i, one in enumerate(self._weightings) for name, t in one.named_buffers()}
        return super().state() | {f"weighting/{name}": tensor for name, tensor in kept.items()}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore torchjd's objects too; they are on the CPU."""
        super().restore(state, device)
        for key, tensor in state.items():
            kind, _, which = key.partition("/")
            number, _, name = which.partition("/")
            if kind == "weighting":
                setattr(self._weightings[int(number)], name, tensor)

    def keep(self, positions: Tensor) -> None:
        """Keep only these replicas' objects, too."""
        super().keep(positions)
        self._weightings = [self._weightings[i] for i in positions.tolist()]

    def _drawing(
        self, weighting: "Weighting[Any]", generator: Generator, gram: Tensor, present: Tensor
    ) -> Tensor:
        """Call `ask` with the replica's generator in place of the global one."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            weights = self.ask(weighting, gram, present)
            generator.set_state(torch.get_rng_state())
        return weights


def conditioned(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Prepare Gram matrices (replica, task, task) for a solver; also return which tasks are present.

    They are in float64, divided by the mean squared length of the gradients, since solvers stop at absolute
    tolerances. A task whose gradient is 0, such as one without a label in this batch, is not stationary but
    absent: it gets a direction of its own, of mean length, that conflicts with no other. If a matrix is not
    finite all its tasks are absent; the loop will end that replica without affecting the others.
    """
    finite = gram.isfinite().all(dim=2).all(dim=1)[:, None, None]
    gram = torch.where(finite, gram, 0).double()
    squared = gram.diagonal(dim1=1, dim2=2)
    present = squared > 0
    mean = squared.sum(dim=1) / present.sum(dim=1).clamp(min=1)
    scaled = gram / torch.where(mean > 0, mean, 1)[:, None, None]
    return scaled + torch.diag_embed((~present).double()), present


def of_present(weights: Tensor, present: Tensor) -> Tensor:
    """Replace the weights (replica, task) of absent tasks by the mean of the others, or 1 if all are absent.

    An absent task's gradient is 0 whatever its weight, but rescaling counts it, and must not shift the
    others.
    """
    count = present.sum(dim=1, keepdim=True)
    mean = torch.where(present, weights, 0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    return torch.where(present, weights, torch.where(count > 0, mean, 1.0))


def certain(gram: Tensor) -> Any:
    """Remove the noise of a Gram matrix (task, task), for a rule that divides by eigenvalues.

    The result is in float32, by whose precision such a rule then decides what is 0. (Any: torchjd annotates
    matrices with its own types, which no tensor is an instance of.)
    """
    values, basis = torch.linalg.eigh(gram)
    kept = torch.where(values > NOISE * values[-1], values, 0)
    return (basis * kept @ basis.mT).float()
