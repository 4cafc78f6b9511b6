"""Embedding tables in training: what a step reads and writes of them.

A small table is stepped whole. Of a large one only the rows of the batch are, and yet the step is dense
Adam's: before rows are read, `Drift` makes up for the steps that they were not in. Where others are to read a
large table, `settle` it first.
"""

import numpy as np
import torch
from torch import Tensor

from mtlbench.train.drift import Drift
from mtlbench.train.held import Held

CHUNK = 16_384
"""Rows that are settled at a time: few enough for a processor's cache."""


class Tables:
    """All tables of a stack one below the other, (row, dim), with Adam's moments of them.

    Args:
        columns: values, first and second moments, all as of the step that `drift` is at; changed in place.
        drift: of the optimiser's settings; None steps the tables whole.

    Attributes:
        picked: the rows of `columns` that a step reads and writes.
        held: which these are; None where it is all of them.
    """

    def __init__(self, columns: tuple[Tensor, Tensor, Tensor], drift: Drift | None) -> None:
        self._all, self._drift, self.picked = columns, drift, columns
        self.held: Held | None = None
        self._last = torch.empty(0, dtype=torch.int64)  # step of a row's last batch
        if drift is not None:
            self._last = torch.full((len(columns[0]),), drift.step)

    def pick(self, places: Tensor) -> Tensor:
        """Make `picked` the rows at `places` as they are now; returns where in it each place is."""
        if self._drift is None:
            return places
        self.held = Held.of(places, len(self._all[0]))
        self._take(self.held.rows, self._drift)
        return self.held.places

    def put_back(self) -> None:
        """Write `picked` back, which has been stepped meanwhile."""
        if self._drift is not None and self.held is not None:
            self._drift.made()
            self._put(self.held.rows, self._drift)

    def settle(self) -> None:
        """Bring every row to where it is now."""
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
    """Those rows (n, dim) of a table on the CPU; NumPy copies them twice as fast as torch."""
    return torch.from_numpy(np.take(whole.numpy(), rows.numpy(), axis=0))


def put(whole: Tensor, rows: Tensor, part: Tensor) -> None:
    """Write rows (n, dim) to where they are in a table on the CPU, each as one lump of bytes."""
    lump = np.dtype((np.void, whole.shape[1] * whole.element_size()))
    whole.numpy().view(lump)[rows.numpy(), 0] = part.numpy().view(lump)[:, 0]
