"""Adam over a stack: elementwise, so one fused step serves all replicas; embeddings learn by rows."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtlbench.config import TrainingSettings
from mtlbench.train.stack import Stack


class StackedAdam:
    """Dense fused Adam (Kingma and Ba 2015) with L2 weight decay added to the gradient.

    Dense means that the moments of an embedding keep moving it for a few steps after its last batch, as
    `torch.optim.Adam` on a dense gradient does. Decay falls on the rows of the batch alone: added to
    untouched rows, Adam would blow it up to full steps and shrink every rare id to nothing.
    """

    def __init__(self, stack: Stack, settings: TrainingSettings) -> None:
        self.stack, self.settings = stack, settings
        self._start()

    def _start(self) -> None:
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        self.dense = list(self.stack.parameters.values())
        self.tables = self.stack.tables
        self.tables.grad = torch.zeros_like(self.tables)
        groups = [
            {"params": self.dense, "weight_decay": decay},
            {"params": [self.tables], "weight_decay": 0.0},
        ]
        self.adam = torch.optim.Adam(groups, lr=rate, fused=True)

    def step(self, index: Tensor, embedded: Sequence[Tensor]) -> None:
        """Step on the gradients that `backward` left on the parameters and on the embedded rows.

        Args:
            index: (replica, table, batch, column) flat rows of the tables, from `Stack.look_up`.
            embedded: of each table (replica, batch, column, dim) leaves with their gradient.
        """
        assert self.tables.grad is not None
        gradient = self.tables.grad.zero_().flatten(end_dim=2)  # (flat row, dim), a view
        flat = index.flatten()
        if self.settings.weight_decay:
            # Once a row, however often the batch holds it: equal values written to the same place.
            rows = torch.stack([one.detach() for one in embedded], dim=1)
            gradient[flat] = rows.flatten(end_dim=3) * self.settings.weight_decay
        for table, one in enumerate(embedded):
            if one.grad is not None:
                gradient.index_add_(0, index[:, table].flatten(), one.grad.flatten(end_dim=2))
        self.adam.step()
        for parameter in self.dense:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """The moments of every parameter, and how many steps they are of."""
        parameters = (*self.dense, self.tables)
        return {f"{i}/{name}": t for i, p in enumerate(parameters) for name, t in self.adam.state[p].items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take what `state` gave, of the same replicas."""
        for i, parameter in enumerate((*self.dense, self.tables)):
            own = {name: state[f"{i}/{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
            self.adam.state[parameter] = {name: t.to(self.stack.device) for name, t in own.items()}

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with these replicas of the stack alone; what the others hold is dropped."""
        moments = [self.adam.state[p] for p in (*self.dense, self.tables)]
        self.stack.keep(positions)
        self._start()
        chosen = torch.tensor(positions, device=self.stack.device)
        for parameter, state in zip((*self.dense, self.tables), moments, strict=True):
            self.adam.state[parameter] = {
                name: value.clone() if name == "step" else value[chosen] for name, value in state.items()
            }
