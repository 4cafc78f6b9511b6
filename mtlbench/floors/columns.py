"""The rows of a split as a floor reads them: plain arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.load import Split
from mtlbench.schema import Schema

BLOCK_ROWS = 65_536
Rows = slice | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Some rows of a split.

    Attributes:
        schema: fields in column order: the rows' own, then those stored once per group.
        categorical: (rows, categorical field) ids.
        numeric: (rows, numeric field) scaled values.
        sequences: (rows, length) ids per sequence field, padded in front.
        labels: (rows, task) NaN where a task is not defined.
    """

    schema: Schema
    categorical: NDArray[np.int32]
    numeric: NDArray[np.float32]
    sequences: tuple[NDArray[np.int32], ...]
    labels: NDArray[np.float32]

    @classmethod
    def of(cls, schema: Schema, split: Split, rows: Rows) -> "Columns":
        """Read `rows` of a split."""
        groups = rows if split.group is None else split.group[rows]
        ends = np.cumsum([f.length for f in schema.of_kind("sequence")], dtype=np.int64)
        return cls(
            schema=schema,
            categorical=np.hstack([split.categorical[rows], split.group_categorical[groups]]),
            numeric=np.hstack([split.numeric[rows], split.group_numeric[groups]]),
            sequences=tuple(np.split(split.sequence[groups], ends[:-1], axis=1)) if len(ends) else (),
            labels=np.asarray(split.labels[rows]),
        )

    def __len__(self) -> int:
        return len(self.labels)


def blocks(schema: Schema, split: Split, rows: NDArray[np.int64] | None = None) -> Iterator[Columns]:
    """Yield the rows (None: all) in order, in blocks: memory holds only one block's columns at a time."""
    count = len(split) if rows is None else len(rows)
    for start in range(0, count, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        yield Columns.of(schema, split, block if rows is None else rows[block])
