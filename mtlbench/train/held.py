"""The rows of a long table that a batch holds, on the CPU: each row once, and its places in the batch.

One sort finds both the rows and the places of each; gradients are then summed row by row, three times as fast
as place by place.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, embedding_bag


@dataclass(frozen=True, slots=True)
class Held:
    """The rows of a table that a batch holds.

    Attributes:
        rows: (row,) distinct rows of the table, in increasing order.
        places: (replica, table, batch, column) index into `rows` of each place in the batch.
        owners: (place,) flattened places, sorted by row.
        starts: (row,) where in `owners` the places of each row start.
    """

    rows: Tensor
    places: Tensor
    owners: Tensor
    starts: Tensor

    @classmethod
    def of(cls, wanted: Tensor, length: int) -> "Held":
        """Sort the rows (replica, table, batch, column) that a batch needs of a table of that length."""
        short = torch.int32 if length <= 2**31 else torch.int64  # int32 sorts in half the time
        ordered_rows, owners = wanted.flatten().to(short).sort(stable=True)
        ordered = ordered_rows.numpy()
        first = np.ones(len(ordered), bool)
        np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        places = np.empty(len(ordered), np.int64)
        places[owners.numpy()] = np.cumsum(first) - 1
        return cls(
            rows=torch.from_numpy(ordered[starts].astype(np.int64)),
            places=torch.from_numpy(places).view_as(wanted),
            owners=owners,
            starts=torch.from_numpy(starts),
        )

    def spread(self, values: Tensor) -> tuple[Tensor, ...]:
        """Copy values (row, dim) to their places: one tensor (replica, batch, column, dim) per table."""
        spread: Tensor = _Spread.apply(values, self)  # type: ignore[no-untyped-call]
        # Unbinding a single table would copy its gradient.
        return (spread.squeeze(1),) if spread.shape[1] == 1 else spread.unbind(dim=1)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, held: Held) -> Tensor:
        ctx.held = held
        return embedding(held.places, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        held: Held = ctx.held
        each = gradient.reshape(len(held.owners), -1)
        return embedding_bag(held.owners, each, held.starts, mode="sum"), None
