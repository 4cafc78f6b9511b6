"""What all balancers have in common that weigh task gradients by one of torchjd's rules.

torchjd (MIT; https://torchjd.org) has a weighting of nearly every published method: an object that maps the
Gram matrix of the task gradients to weights. Here each replica has an object of its own, since some of them
remember; the matrix goes to the CPU in float64, and what they draw comes from the replica's own generator,
so that neither the stack nor the global generator shows in the numbers.
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
"""Share of the largest eigenvalue below which another may be rounding: the gradients come in float32."""


class TorchjdBalancer(GramBalancer):
    """Weights of a torchjd weighting, replica by replica."""

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
        """Make torchjd's object; torchjd takes seconds to load, so import it in here."""
        raise NotImplementedError

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        """Ask each replica's object."""
        scaled, present = conditioned(gram.cpu())
        members = zip(self._weightings, self.generators, scaled, present, strict=True)
        return of_present(torch.stack([self._drawing(*member) for member in members]), present).to(losses)

    def ask(self, weighting: "Weighting[Any]", gram: Tensor, present: Tensor) -> Tensor:
        """The weights (task,) that one replica's object has for its Gram matrix; some tasks may be absent."""
        weights: Tensor = weighting(gram)
        return weights

    def state(self) -> dict[str, Tensor]:
        """And what torchjd's objects remember."""
        kept = {f"{i}/{name}": t for i, one in enumerate(self._weightings) for name, t in one.named_buffers()}
        return super().state() | {f"weighting/{name}": tensor for name, tensor in kept.items()}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """The same; torchjd's objects are on the CPU."""
        super().restore(state, device)
        for key, tensor in state.items():
            kind, _, which = key.partition("/")
            number, _, name = which.partition("/")
            if kind == "weighting":
                setattr(self._weightings[int(number)], name, tensor)

    def keep(self, positions: Tensor) -> None:
        """Go on with these replicas' objects alone."""
        super().keep(positions)
        self._weightings = [self._weightings[i] for i in positions.tolist()]

    def _drawing(
        self, weighting: "Weighting[Any]", generator: Generator, gram: Tensor, present: Tensor
    ) -> Tensor:
        """Ask where the global generator has lent its place to the replica's own."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            weights = self.ask(weighting, gram, present)
            generator.set_state(torch.get_rng_state())
        return weights


def conditioned(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Gram matrices (replica, task, task) as a solver wants them, and which tasks (replica, task) have a say.

    In float64, divided by the mean squared length of the gradients, since solvers stop at absolute
    tolerances. A task whose gradient is 0, such as one without a label in this batch, is not stationary but
    absent: it gets a direction of its own, of mean length, that conflicts with nobody. Where a matrix is not
    finite all tasks are absent; the loop will end that replica, and no other should suffer for it.
    """
    finite = gram.isfinite().all(dim=2).all(dim=1)[:, None, None]
    gram = torch.where(finite, gram, 0).double()
    squared = gram.diagonal(dim1=1, dim2=2)
    present = squared > 0
    mean = squared.sum(dim=1) / present.sum(dim=1).clamp(min=1)
    scaled = gram / torch.where(mean > 0, mean, 1)[:, None, None]
    return scaled + torch.diag_embed((~present).double()), present


def of_present(weights: Tensor, present: Tensor) -> Tensor:
    """The weights (replica, task), an absent task's replaced by the mean of the others, 1 if all are absent.

    Its gradient is 0 whatever it weighs, but rescaling counts it, and should leave the others where they are.
    """
    count = present.sum(dim=1, keepdim=True)
    mean = torch.where(present, weights, 0).sum(dim=1, keepdim=True) / count.clamp(min=1)
    return torch.where(present, weights, torch.where(count > 0, mean, 1.0))


def certain(gram: Tensor) -> Any:
    """A Gram matrix (task, task) without its noise, for a rule that divides by eigenvalues.

    It is given in float32, by whose precision such a rule then tells what is 0. (Any: torchjd has types of
    its own for matrices, which no tensor is ever made of.)
    """
    values, basis = torch.linalg.eigh(gram)
    kept = torch.where(values > NOISE * values[-1], values, 0)
    return (basis * kept @ basis.mT).float()
