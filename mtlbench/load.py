"""Prepared datasets, opened memory-mapped: one `.npy` matrix per kind of column and split, and a manifest.

datasets/NAME/prepared/
    manifest.json           schema, vocabulary sizes, counts, quirks, guards, settings, fingerprint
    {train,validation,test}/
        categorical.npy     (rows, categorical fields) int32 indices
        numeric.npy         (rows, numeric fields) float32, scaled on train
        sequence.npy        (rows, sum of lengths) int32 indices, most recent last, padded in front
        labels.npy          (rows, tasks) float32, NaN where a task is not defined
        cluster.npy         (rows,) int64
    {train,validation,test}.parquet     the same rows with raw ids, for people
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.schema import Schema

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
MATRICES = {
    "categorical": np.int32,
    "numeric": np.float32,
    "sequence": np.int32,
    "labels": np.float32,
    "cluster": np.int64,
}
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Split:
    """The matrices of one split, rows aligned; shapes and dtypes as in the module's docstring."""

    categorical: NDArray[np.int32]
    numeric: NDArray[np.float32]
    sequence: NDArray[np.int32]
    labels: NDArray[np.float32]
    cluster: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cluster)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared dataset: its manifest, and the way to its matrices."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The name under which it was prepared."""
        return str(self.manifest["dataset"])

    @property
    def fingerprint(self) -> str:
        """sha256 of schema, settings and matrix contents."""
        return str(self.manifest["fingerprint"])

    @property
    def simulated(self) -> bool:
        """Whether the rows come from a simulator; every figure made from them must say so."""
        return bool(self.manifest["simulated"])

    @property
    def schema(self) -> Schema:
        """Fields and tasks."""
        return Schema.from_json(self.manifest["schema"])

    @property
    def vocabularies(self) -> dict[str, int]:
        """Vocabulary name -> number of indices, padding and out-of-vocabulary included."""
        return dict(self.manifest["vocabularies"])

    def open_split(self, split: SplitName) -> Split:
        """Open one split memory-mapped. Training opens train and validation; only `evaluate` opens test.

        Raises:
            DataError: a matrix is missing or has another number of rows than the manifest says.
        """
        rows = self.manifest["splits"][split]["rows"]
        matrices = {}
        for name in MATRICES:
            file = self.path / split / f"{name}.npy"
            try:
                # "c": copy on write, so torch may wrap the array without a warning; the file never changes.
                matrices[name] = np.load(file, mmap_mode="c" if rows else None, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise self._damaged(f"{split}/{name}.npy cannot be read ({error})") from error
            if len(matrices[name]) != rows:
                raise self._damaged(
                    f"{split}/{name}.npy has {len(matrices[name])} rows, its manifest says {rows}"
                )
        return Split(**matrices)

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"Prepared dataset {self.name!r} is damaged: {what}. "
            f"Prepare it again: mtlbench prepare {self.manifest['recipe']} --force"
        )


def open_prepared(home: Home, dataset: str) -> Prepared:
    """Open the prepared dataset of that name.

    Raises:
        DataError: it is not prepared, or its manifest cannot be read.
    """
    path = home.prepared(dataset)
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        ready = ", ".join(prepared_names(home)) or "none"
        raise DataError(
            f"Dataset {dataset!r} is not prepared in {home.root} (prepared: {ready}). "
            f"Prepare it: mtlbench prepare {dataset}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path / 'manifest.json'} cannot be read ({error}). "
            f"Prepare it again: mtlbench prepare {dataset} --force"
        ) from error
    if manifest.get("format") != FORMAT:
        raise DataError(
            f"Prepared dataset {dataset!r} has format {manifest.get('format')}, this version reads {FORMAT}. "
            f"Prepare it again: mtlbench prepare {dataset} --force"
        )
    return Prepared(path, manifest)


def prepared_names(home: Home) -> list[str]:
    """Names of the prepared datasets, the most recently prepared first."""
    manifests = home.datasets.glob("*/prepared/manifest.json")
    newest_first = sorted(manifests, key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [file.parent.parent.name for file in newest_first]
