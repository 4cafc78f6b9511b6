"""A split as tensors where training happens: a batch is an index into them, there is no data loader."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlbench.load import Split
from mtlbench.schema import PADDING, Schema


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
    """The columns of one split: on a CPU the memory-mapped files themselves, on a GPU a copy there."""

    layout: Layout
    categorical: Tensor
    numeric: Tensor
    labels: Tensor
    group_categorical: Tensor
    group_numeric: Tensor
    sequence: Tensor
    group: Tensor | None

    @classmethod
    def of(cls, split: Split, layout: Layout, device: torch.device) -> "Matrices":
        """Wrap a split."""
        names = ("categorical", "numeric", "labels", "group_categorical", "group_numeric", "sequence")
        tensors = {name: wrapped(getattr(split, name)).to(device) for name in names}
        group = None if split.group is None else wrapped(split.group).to(device)
        return cls(layout=layout, group=group, **tensors)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor | slice) -> Batch:
        """The rows at `rows`: any index tensor, or a slice."""
        groups = rows if self.group is None else _at(self.group, rows)
        sequence = _at(self.sequence, groups)
        columns = [_at(self.categorical, rows), _at(self.group_categorical, groups), sequence]
        return Batch(
            ids=torch.cat(columns, dim=-1) + self.layout.offsets,
            sequence_mask=(sequence != PADDING).float(),
            numeric=torch.cat([_at(self.numeric, rows), _at(self.group_numeric, groups)], dim=-1),
            labels=_at(self.labels, rows),
        )


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
