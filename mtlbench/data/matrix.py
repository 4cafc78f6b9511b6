"""Writing an `.npy` file block by block: a split may be larger than memory."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import DTypeLike, NDArray

from mtlbench.load import GROUP, MATRICES, ROW_MATRICES
from mtlbench.schema import Schema

BLOCK = 100_000
"""Number of rows in memory at a time."""


class Matrix:
    """An `.npy` file that is written in blocks of rows; their total number is known beforehand.

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
        """Close the file; `whole` asserts that all rows were written."""
        self._stream.close()
        assert self._left == 0 or not whole, f"{self._left} rows missing"


class SplitMatrices:
    """All matrices of one split, in `folder`; numeric ones unscaled."""

    def __init__(self, folder: Path, schema: Schema, rows: int, groups: int | None = None) -> None:
        """Create the files; `groups` is None if every row is its own group."""
        folder.mkdir()
        self._matrices = {
            name: Matrix(folder / f"{name}.npy", shape, dtype)
            for name, (shape, dtype) in layout(schema, rows, groups).items()
        }

    def write(self, blocks: Mapping[str, NDArray[np.generic]]) -> None:
        """Append a block to some of the matrices."""
        for name, block in blocks.items():
            self._matrices[name].write(block)

    def __enter__(self) -> "SplitMatrices":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for matrix in self._matrices.values():
            with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
                matrix.close(whole=kind is None)


def layout(
    schema: Schema, rows: int, groups: int | None = None
) -> dict[str, tuple[tuple[int, ...], DTypeLike]]:
    """Return shape and type of each matrix of a split; `groups` is None if every row is its own group."""
    widths = {
        "categorical": [not f.grouped for f in schema.of_kind("categorical")].count(True),
        "numeric": [not f.grouped for f in schema.of_kind("numeric")].count(True),
        "group_categorical": [f.grouped for f in schema.of_kind("categorical")].count(True),
        "group_numeric": [f.grouped for f in schema.of_kind("numeric")].count(True),
        "sequence": sum(f.length for f in schema.of_kind("sequence")),
        "labels": len(schema.tasks),
    }
    found: dict[str, tuple[tuple[int, ...], DTypeLike]] = {}
    for name, dtype in (MATRICES if groups is None else MATRICES | {GROUP: np.int32}).items():
        length = rows if name in ROW_MATRICES or name == GROUP or groups is None else groups
        found[name] = ((length, widths[name]) if name in widths else (length,), dtype)
    return found


def size_bytes(schema: Schema, rows: int, groups: int | None = None) -> int:
    """Return the size on disk of the matrices of this many rows."""
    shapes = layout(schema, rows, groups).values()
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes)


def blocks(rows: int, size: int = 1) -> Iterator[slice]:
    """Yield slices of BLOCK rows; with `size`, slices of groups of `size` rows that hold about BLOCK rows."""
    step = max(1, BLOCK // size)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
