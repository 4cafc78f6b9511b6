"""A split as tensors on the training device: a batch is an index into them, there is no data loader.

A split too large for the device stays in its memory-mapped files: the rows of a step are gathered on the
host, in another thread, while the previous step is computed.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlbench.load import Split
from mtlbench.schema import PADDING, Schema

T = TypeVar("T")
Gathered = tuple[Tensor, ...]
"""Rows gathered from each column, not yet made a batch nor moved to its device."""
SHARE = 0.5
"""Share of the device's memory that a split may take; the rest is for weights, a step, and other splits."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each field's ids are in the one embedding table that all vocabularies share.

    Attributes:
        offsets: (column,) first row of each id column's vocabulary; categorical fields first, then every
            position of every sequence.
        rows: number of rows of the table.
    """

    offsets: Tensor
    rows: int

    @classmethod
    def of(cls, schema: Schema, vocabularies: Mapping[str, int], device: torch.device) -> "Layout":
        """Lay out the vocabularies one after another, in the order of their names."""
        starts, rows = {}, 0
        for name in sorted(vocabularies):
            starts[name] = rows
            rows += vocabularies[name]
        columns = [starts[f.vocabulary] for f in schema.of_kind("categorical")]
        columns += [starts[f.vocabulary] for f in schema.of_kind("sequence") for _ in range(f.length)]
        return cls(torch.tensor(columns, dtype=torch.int64, device=device), rows)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for a stack; leading axes are (replica, batch) in training, (batch,) in scoring.

    Attributes:
        ids: (..., column) rows of the joint embedding table.
        sequence_mask: (..., position) float, 0 at padding.
        numeric: (..., numeric).
        labels: (..., task), all tasks of the dataset.
    """

    ids: Tensor
    sequence_mask: Tensor
    numeric: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Matrices:
    """The columns of one split: the memory-mapped files themselves, or a copy on a GPU with enough room.

    Attributes:
        layout: layout of the ids; batches are made on its device.
        resident: whether the columns fit in that device's memory; else they stay on the host.
    """

    layout: Layout
    categorical: Tensor
    numeric: Tensor
    labels: Tensor
    group_categorical: Tensor
    group_numeric: Tensor
    sequence: Tensor
    group: Tensor | None
    resident: bool

    @classmethod
    def of(
        cls, split: Split, layout: Layout, device: torch.device, budget: float | None = None
    ) -> "Matrices":
        """Wrap a split; resident if it fits in `budget` bytes (None: a share of the device's memory)."""
        names = ("categorical", "numeric", "labels", "group_categorical", "group_numeric", "sequence")
        columns = {name: wrapped(getattr(split, name)) for name in names}
        if split.group is not None:
            columns["group"] = wrapped(split.group)
        budget = SHARE * _memory(device) if budget is None else budget
        resident = sum(column.nbytes for column in columns.values()) <= budget
        if resident:
            columns = {name: column.to(device) for name, column in columns.items()}
        return cls(layout=layout, group=columns.pop("group", None), resident=resident, **columns)

    def __len__(self) -> int:
        return len(self.labels)

    def fetched(self, steps: Iterator[Tensor]) -> Iterator[Tensor | Gathered]:
        """Yield the argument of `batch` for each step: its rows, or if not resident, rows gathered ahead."""
        return steps if self.resident else ahead(map(self._gather, steps))

    def batch(self, rows: Tensor | slice | Gathered) -> Batch:
        """Return the batch at `rows`: any index tensor, a slice, or columns already gathered."""
        gathered = rows if isinstance(rows, tuple) else self._gather(rows)
        device = self.layout.offsets.device
        there = [column.to(device, non_blocking=True) for column in gathered]
        categorical, numeric, labels, group_categorical, group_numeric, sequence = there
        return Batch(
            ids=torch.cat([categorical, group_categorical, sequence], dim=-1) + self.layout.offsets,
            sequence_mask=(sequence != PADDING).float(),
            numeric=torch.cat([numeric, group_numeric], dim=-1),
            labels=labels,
        )

    def _gather(self, rows: Tensor | slice) -> Gathered:
        """Gather rows of each column, where the columns are; pin them if a GPU will need them."""
        rows = rows if isinstance(rows, slice) else rows.to(self.labels.device)
        groups = rows if self.group is None else _at(self.group, rows)
        columns = [_at(column, rows) for column in (self.categorical, self.numeric, self.labels)]
        columns += [_at(c, groups) for c in (self.group_categorical, self.group_numeric, self.sequence)]
        pinned = not self.resident and self.layout.offsets.device.type == "cuda"
        return tuple(column.pin_memory() if pinned else column for column in columns)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, each computed in another thread while the previous one is used."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # not the end


def to_device(drawn: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor to the device; the host does not wait for the copy."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn


def _memory(device: torch.device) -> int:
    """Return the free bytes of a GPU, or the bytes of the machine's physical memory."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch
        return torch.cuda.mem_get_info(device)[0] + kept
    if not hasattr(os, "sysconf"):  # Windows does not tell; on a CPU, resident columns are not copied
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def wrapped(matrix: NDArray[Any]) -> Tensor:
    """Wrap a matrix as a tensor on the same memory; never write to it, since files are mapped read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(matrix)


def _at(table: Tensor, rows: Tensor | slice) -> Tensor:
    """Return rows of a table, (*rows, ...): the same as `table[rows]`, five times as fast."""
    if isinstance(rows, slice):
        return table[rows]
    return table.index_select(0, rows.flatten()).view(*rows.shape, *table.shape[1:])
