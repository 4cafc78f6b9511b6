"""Embedding tables in training: the rows that a step reads and writes.

Small tables are stepped whole. In large ones only the rows of the batch are, yet the result is that of dense
Adam: before rows are read, `Drift` makes up for the steps they were not in. Before others read large tables,
`settle` must be called.
"""

import numpy as np
import torch
from torch import Tensor

from mtlbench.train.drift import Drift
from mtlbench.train.held import Held

CHUNK = 16_384
"""Number of rows settled at a time: few enough for a processor's cache."""


class Tables:
    """All tables of a stack as one long table (row, dim), with their Adam moments.

    Args:
        columns: values, first and second moments, all as of the current step of `drift`; changed in place.
        drift: made from the optimiser's settings; None steps the tables whole.

    Attributes:
        picked: the rows of `columns` that a step reads and writes.
        held: the rows that `picked` holds; None for all of them.
    """

    def __init__(self, columns: tuple[Tensor, Tensor, Tensor], drift: Drift | None) -> None:
        self._all, self._drift, self.picked = columns, drift, columns
        self.held: Held | None = None
        self._last = torch.empty(0, dtype=torch.int64)  # step of a row's last batch
        if drift is not None:
            self._last = torch.full((len(columns[0]),), drift.step)

    def pick(self, places: Tensor) -> Tensor:
        """Set `picked` to the rows at `places`, brought up to date; return each place's index in `picked`."""
        if self._drift is None:
            return places
        self.held = Held.of(places, len(self._all[0]))
        self._take(self.held.rows, self._drift)
        return self.held.places

    def put_back(self) -> None:
        """Write `picked` back after it has been stepped."""
        if self._drift is not None and self.held is not None:
            self._drift.made()
            self._put(self.held.rows, self._drift)

    def settle(self) -> None:
        """Bring every row up to the current step."""
        if self._drift is None:
            return
        behind = ((self._last < self._drift.step) & (self._last > 0)).nonzero().squeeze(1)
        for rows in torch.split(behind, CHUNK):
            self._take(rows, self._drift)
            self._put(rows, self._drift)

    def _take(self, rows: Tensor, drift: Drift) -> None:
        values, first, second = (taken(whole, rows) for whole in self._all)
        drift.catch_up(values, first, second, self._last.index_select(0, rows))
        self.picked = values, first, second

    def _put(self, rows: Tensor, drift: Drift) -> None:
        for whole, part in zip(self._all, self.picked, strict=True):
            put(whole, rows, part)
        self._last.index_fill_(0, rows, drift.step)


def taken(whole: Tensor, rows: Tensor) -> Tensor:
    """Copy those rows (n, dim) of a table on the CPU; NumPy is twice as fast as torch."""
    return torch.from_numpy(np.take(whole.numpy(), rows.numpy(), axis=0))


def put(whole: Tensor, rows: Tensor, part: Tensor) -> None:
    """Write rows (n, dim) back into a table on the CPU, each as one block of bytes."""
    lump = np.dtype((np.void, whole.shape[1] * whole.element_size()))
    whole.numpy().view(lump)[rows.numpy(), 0] = part.numpy().view(lump)[:, 0]
