"""Adam over a stack: elementwise, so one fused step serves all replicas; embeddings are updated by rows."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

from mtlbench.config import TrainingSettings
from mtlbench.train.drift import Drift
from mtlbench.train.stack import Embedded, Stack, gathered
from mtlbench.train.tables import Tables

BETAS, EPSILON = (0.9, 0.999), 1e-8
SMALL = 8
"""Most table rows per id of a batch for which tables are stepped whole, which is faster than picking rows."""

Moments = tuple[Tensor, Tensor]


class StackedAdam:
    """Fused Adam (Kingma and Ba 2015) with L2 weight decay added to the gradient.

    Embeddings are stepped as by `torch.optim.Adam` with a dense gradient: the moments of a row keep moving it
    after its last batch. Only the rows of the batch are decayed: on untouched rows, Adam would scale decay up
    to full steps and shrink every rare id to nothing.
    """

    def __init__(self, stack: Stack, settings: TrainingSettings) -> None:
        self.stack, self.settings = stack, settings
        learned = [*stack.parameters.values(), stack.tables]
        self._go_on([(torch.zeros_like(p), torch.zeros_like(p)) for p in learned], step=0)

    def _go_on(self, moments: Sequence[Moments], step: int) -> None:
        """Continue with the stack's current tensors and these moments, those of its tables last."""
        self.moments, device = list(moments), self.stack.device
        self._steps = [torch.full((), float(step), device=device) for _ in moments]
        ids = self.settings.batch_rows * len(self.stack.layout.offsets)
        whole = device.type != "cpu" or self.stack.layout.rows <= SMALL * ids
        drift = None if whole else Drift(self.settings.learning_rate, BETAS, EPSILON, step)
        first, second = moments[-1]
        self.tables = Tables(
            (self.stack.tables.flatten(end_dim=2), first.flatten(end_dim=2), second.flatten(end_dim=2)), drift
        )

    def look_up(self, ids: Tensor, *, each: bool = False) -> Embedded:
        """Gather the embeddings of a training batch as leaves of the autograd graph.

        The cost of the backward pass then depends on the batch, not on the size of the tables.

        Args:
            ids: (replica, batch, column) rows of the joint table.
            each: give each place in the batch a gradient of its own, even if several hold the same row.
        """
        places = self.tables.pick(self.stack.places(ids))
        values, held = self.tables.picked[0].detach(), self.tables.held
        if held is None or each:
            return Embedded(tuple(e.requires_grad_() for e in gathered(values, places)), places)
        return Embedded(held.spread(values.requires_grad_()), places, values)

    def step(self, embedded: Embedded) -> None:
        """Step on the gradients that `backward` left on the parameters and on the looked-up embeddings."""
        parameters, decay = self.stack.parameters.values(), self.settings.weight_decay
        values, first, second = self.tables.picked
        learned = [
            (parameter.detach(), parameter.grad, *of_it, step)
            for parameter, of_it, step in zip(parameters, self.moments[:-1], self._steps[:-1], strict=True)
            if parameter.grad is not None
        ]
        if decay and learned:
            torch._foreach_add_([row[1] for row in learned], [row[0] for row in learned], alpha=decay)
        learned.append((values, self._gradient(embedded, values), first, second, self._steps[-1]))
        weights, gradients, firsts, seconds, steps = (list(column) for column in zip(*learned, strict=True))
        # The functional form: creating a torch.optim.Adam loads the compiler, which takes a second.
        adam(
            weights,
            gradients,
            firsts,
            seconds,
            [],
            steps,
            fused=True,
            amsgrad=False,
            lr=self.settings.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
        self.tables.put_back()
        for parameter in parameters:
            parameter.grad = None

    def _gradient(self, embedded: Embedded, values: Tensor) -> Tensor:
        """Return the gradient of the rows that are stepped, (row, dim), decay included."""
        decay = self.settings.weight_decay
        if embedded.rows is not None:
            gradient = torch.zeros_like(values) if embedded.rows.grad is None else embedded.rows.grad
            return gradient.add_(values, alpha=decay) if decay else gradient
        gradient = torch.zeros_like(values)
        if decay:
            # Once per row, however often the batch holds it: equal values are written to the same place.
            places = embedded.places.flatten()
            gradient.index_copy_(0, places, values.index_select(0, places) * decay)
        for leaf, places in zip(embedded.tables, embedded.places.unbind(dim=1), strict=True):
            if leaf.grad is not None:
                _add_rows(gradient, places.flatten(), leaf.grad.flatten(end_dim=2))
        return gradient

    def settle(self) -> None:
        """Bring every row of the tables up to the current step, before others read them."""
        self.tables.settle()

    def state(self) -> dict[str, Tensor]:
        """Return the moments and number of steps of every parameter; the tables must be settled."""
        named = zip(self.moments, self._steps, strict=True)
        return {
            f"{i}/{name}": tensor
            for i, ((first, second), step) in enumerate(named)
            for name, tensor in (("first", first), ("second", second), ("step", step))
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the output of `state`, for the same replicas."""
        device = self.stack.device
        kept = [
            {n: state[f"{i}/{n}"].to(device) for n in ("first", "second", "step")}
            for i in range(len(self.moments))
        ]
        self._go_on([(one["first"], one["second"]) for one in kept], int(kept[-1]["step"]))
        self._steps = [one["step"] for one in kept]

    def keep(self, positions: Sequence[int]) -> None:
        """Keep only these replicas, dropping the moments of the others; the tables must be settled."""
        self.stack.keep(positions)
        chosen, steps = torch.tensor(positions, device=self.stack.device), self._steps
        self._go_on([(first[chosen], second[chosen]) for first, second in self.moments], int(steps[-1]))
        self._steps = steps


def _add_rows(total: Tensor, places: Tensor, rows: Tensor) -> None:
    """Add each row at its place; twice the same is twice the same sum, on a GPU too.

    There `index_add_` adds in whatever order its threads come; `index_put_` sorts first.
    """
    if total.device.type == "cpu":
        total.index_add_(0, places, rows)
    else:
        total.index_put_((places,), rows, accumulate=True)
