"""Writing the matrices block by block: a split may be larger than memory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import DTypeLike, NDArray

from mtlbench.data.userbehavior.exposures import TASKS, Exposures
from mtlbench.data.userbehavior.features import CATEGORICAL, LENGTH, NUMERIC, Features
from mtlbench.data.userbehavior.log import START, Log
from mtlbench.load import MATRICES
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING

BLOCK = 100_000
"""Rows that are in memory at a time."""
LEAST_ROWS = 5
"""Train rows that give an id an embedding of its own."""

WIDTHS = {"categorical": len(CATEGORICAL), "numeric": len(NUMERIC), "sequence": LENGTH, "labels": len(TASKS)}


class Vocabulary:
    """Codes plus one (0 is nothing) to indices: ids with enough train rows have their own."""

    def __init__(self, train_rows: NDArray[np.int64]) -> None:
        kept = train_rows >= LEAST_ROWS
        index = np.where(kept, FIRST_ID - 1 + np.cumsum(kept), OUT_OF_VOCABULARY)
        self._index = np.concatenate([[PADDING], index]).astype(np.int32)
        self.size = FIRST_ID + int(kept.sum())

    def __call__(self, codes_plus_one: NDArray[np.int64]) -> NDArray[np.int32]:
        """Look the indices up."""
        return self._index[codes_plus_one]


class Matrix:
    """An `.npy` file that grows by blocks of rows; how many there will be is known before.

    Not a memory map: writing one on a full disk kills the process instead of raising OSError.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._left = shape[0]
        self._stream = path.open("wb")
        header = {"descr": dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        write_array_header_1_0(self._stream, header)

    def write(self, block: NDArray[np.generic]) -> None:
        """Append rows."""
        self._left -= len(block)
        self._stream.write(np.ascontiguousarray(block, dtype=self.dtype).data)

    def close(self, whole: bool = True) -> None:
        """All rows are written, or (not `whole`) something went wrong before."""
        self._stream.close()
        assert self._left == 0 or not whole, f"{self._left} rows missing"


class SplitWriter:
    """The matrices of one split, and its rows with raw ids as Parquet."""

    def __init__(
        self, name: str, rows: int, log: Log, vocabularies: dict[str, Vocabulary], work: Path, out: Path
    ) -> None:
        self._log, self._vocabularies = log, vocabularies
        self._parts = work / f"parts-{name}"
        self._parts.mkdir()
        self._parquet = out / f"{name}.parquet"
        self.numeric = work / f"numeric-{name}.npy"
        folder = out / name
        folder.mkdir()
        self._matrices = {}
        for kind, dtype in MATRICES.items():
            shape = (rows, WIDTHS[kind]) if kind in WIDTHS else (rows,)
            path = self.numeric if kind == "numeric" else folder / f"{kind}.npy"
            self._matrices[kind] = Matrix(path, shape, dtype)

    def write(self, rows: Exposures, features: Features) -> None:
        """Append a block."""
        user = self._log.users[rows.user]
        fields = [
            self._vocabularies[field.vocabulary](features.categorical[:, at])
            for at, field in enumerate(CATEGORICAL)
        ]
        self._matrices["categorical"].write(np.stack(fields, axis=1))
        self._matrices["numeric"].write(features.numeric)
        self._matrices["sequence"].write(self._vocabularies["category"](features.sequence))
        self._matrices["labels"].write(rows.labels)
        self._matrices["cluster"].write(user)

        categories = np.concatenate([[-1], self._log.categories])  # -1: nothing there
        _, _, category, hour, weekday, last = features.categorical.T
        columns = {
            "user": user,
            "item": self._log.items[rows.item],
            "time": rows.time + START,
            **{task: rows.labels[:, at] for at, task in enumerate(TASKS)},
            "category": categories[category],
            "hour": (hour - 1).astype(np.uint8),
            "weekday": (weekday - 1).astype(np.uint8),
            "last_category": categories[last],
            "recent_categories": categories[features.sequence],
            **{field.name: features.numeric[:, at] for at, field in enumerate(NUMERIC)},
        }
        part = len(list(self._parts.iterdir()))
        pl.DataFrame(columns).write_parquet(self._parts / f"{part:06}.parquet")

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for matrix in self._matrices.values():
            with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
                matrix.close(whole=kind is None)
        if kind is None:
            pl.scan_parquet(sorted(self._parts.iterdir())).sink_parquet(self._parquet)


def blocks(rows: int) -> Iterator[slice]:
    """Slices of BLOCK rows."""
    for start in range(0, rows, BLOCK):
        yield slice(start, min(start + BLOCK, rows))
