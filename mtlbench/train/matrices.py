"""A split as tensors where training happens: a batch is an index into them, there is no data loader.

What is too large for the device stays in its memory-mapped files: the rows of a step are gathered on the
host, in another thread, while the step before is computed.
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
"""Some rows of each column, which are not a batch yet nor on its device."""
SHARE = 0.5
"""Of the device's memory that a split may take; the rest is for weights, a step, and other splits."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each field's ids stand in the one embedding table that all vocabularies share.

    Attributes:
        offsets: (column,) first row of each id column's vocabulary; categorical fields first, then every
            position of every sequence.
        rows: height of the table.
    """

    offsets: Tensor
    rows: int

    @classmethod
    def of(cls, schema: Schema, vocabularies: Mapping[str, int], device: torch.device) -> "Layout":
        """Lay the vocabularies one after another, in the order of their names."""
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
        sequence_mask: (..., position) float, 0 where there is padding.
        numeric: (..., numeric).
        labels: (..., task), all tasks of the dataset.
    """

    ids: Tensor
    sequence_mask: Tensor
    numeric: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Matrices:
    """The columns of one split: the memory-mapped files themselves, or on a GPU that has room a copy there.

    Attributes:
        layout: of the ids; batches go to its device.
        resident: whether the columns fit in the memory of that device; else they stay on the host.
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
        """Wrap a split; more bytes than `budget` (None: a share of what the device has) are not resident."""
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
        """What `batch` is given for each step: its rows, or what is gathered ahead if not resident."""
        return steps if self.resident else ahead(map(self._gather, steps))

    def batch(self, rows: Tensor | slice | Gathered) -> Batch:
        """The rows at `rows`: any index tensor, or a slice."""
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
        """Those rows of each column, where the columns are; pinned if they go on to a GPU."""
        rows = rows if isinstance(rows, slice) else rows.to(self.labels.device)
        groups = rows if self.group is None else _at(self.group, rows)
        columns = [_at(column, rows) for column in (self.categorical, self.numeric, self.labels)]
        columns += [_at(c, groups) for c in (self.group_categorical, self.group_numeric, self.sequence)]
        pinned = not self.resident and self.layout.offsets.device.type == "cuda"
        return tuple(column.pin_memory() if pinned else column for column in columns)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; each is made in another thread while the one before is used."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # not the end


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on the device, which the host does not wait for."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn


def _memory(device: torch.device) -> int:
    """Bytes that are free on a GPU, or that the machine has to keep files in."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # freed, and torch's
        return torch.cuda.mem_get_info(device)[0] + kept
    if not hasattr(os, "sysconf"):  # Windows does not say; on a CPU what is resident is no copy
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def wrapped(matrix: NDArray[Any]) -> Tensor:
    """A matrix as a tensor of the same memory, which nothing may write to: a mapped file allows no write."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(matrix)


def _at(table: Tensor, rows: Tensor | slice) -> Tensor:
    """Rows of a table, (*rows, ...): what `table[rows]` says, five times as fast."""
    if isinstance(rows, slice):
        return table[rows]
    return table.index_select(0, rows.flatten()).view(*rows.shape, *table.shape[1:])
