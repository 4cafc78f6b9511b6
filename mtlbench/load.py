"""Prepared datasets, opened memory-mapped: one `.npy` matrix per kind of column and split, and a manifest.

datasets/NAME/prepared/
    manifest.json           schema, vocabulary sizes, scaling, counts, quirks, guards, settings, fingerprint
    {train,validation,test}/
        categorical.npy         (rows, own categorical fields) int32 indices
        numeric.npy             (rows, own numeric fields) float32, scaled on train
        labels.npy              (rows, tasks) float32, NaN where a task is not defined
        group.npy               (rows,) int32; absent where every row is a group of its own
        group_categorical.npy   (groups, grouped categorical fields) int32
        group_numeric.npy       (groups, grouped numeric fields) float32
        sequence.npy            (groups, sum of lengths) int32, most recent last, padded in front
        cluster.npy             (groups,) int64
    {train,validation,test}.parquet     the same rows with raw ids, for people: at least cluster, item, labels
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import DataError, did_you_mean
from mtlbench.home import Home
from mtlbench.schema import Schema

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
ROW_MATRICES = {"categorical": np.int32, "numeric": np.float32, "labels": np.float32}
GROUP_MATRICES = {
    "group_categorical": np.int32,
    "group_numeric": np.float32,
    "sequence": np.int32,
    "cluster": np.int64,
}
MATRICES = ROW_MATRICES | GROUP_MATRICES
GROUP = "group"
"""Name of the matrix that maps rows to groups."""
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Split:
    """The matrices of one split; shapes and dtypes as in the module's docstring."""

    categorical: NDArray[np.int32]
    numeric: NDArray[np.float32]
    labels: NDArray[np.float32]
    group_categorical: NDArray[np.int32]
    group_numeric: NDArray[np.float32]
    sequence: NDArray[np.int32]
    cluster: NDArray[np.int64]
    group: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def clusters(self) -> NDArray[np.int64]:
        """Return the cluster of each row, (rows,)."""
        return np.asarray(self.cluster if self.group is None else self.cluster[self.group])


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared dataset: its manifest, and access to its matrices."""

    path: Path
    manifest: dict[str, Any]
    tasks: tuple[str, ...] = ()
    """The chosen tasks; empty means all that are not optional."""

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
        """Fields, and the chosen tasks."""
        return self._whole.only(self.tasks)

    @property
    def _whole(self) -> Schema:
        return Schema.from_json(self.manifest["schema"])

    @property
    def vocabularies(self) -> dict[str, int]:
        """Vocabulary name -> number of indices, padding and out-of-vocabulary included."""
        return dict(self.manifest["vocabularies"])

    def open_split(self, split: SplitName) -> Split:
        """Open one split memory-mapped. Training opens train and validation; only `evaluate` opens test.

        The label matrix has the columns of the chosen tasks.

        Raises:
            DataError: a matrix is missing or has another number of rows than the manifest says; or the
                dataset has been prepared anew since it was opened.
        """
        counts = self.manifest["splits"][split]
        rows, groups = counts["rows"], counts["groups"]
        lengths = dict.fromkeys(ROW_MATRICES, rows) | dict.fromkeys(GROUP_MATRICES, groups)
        whole, chosen = self._whole.task_names, self.schema.task_names
        if self.schema.grouped:
            lengths[GROUP] = rows
        try:
            matrices = {name: self._matrix(split, name, length) for name, length in lengths.items()}
        finally:  # takes precedence over a complaint about a file; mapped data no longer change
            _refuse_another(self.path, _manifest(self.path), self.fingerprint)
        if chosen != whole:
            matrices["labels"] = matrices["labels"][:, [whole.index(name) for name in chosen]]
        return Split(**matrices)

    def _matrix(self, split: SplitName, name: str, rows: int) -> NDArray[Any]:
        file = self.path / split / f"{name}.npy"
        try:
            matrix: NDArray[Any] = open_matrix(file)
        except (OSError, ValueError) as error:
            raise self._damaged(f"{split}/{name}.npy cannot be read ({error})") from error
        if len(matrix) != rows:
            raise self._damaged(f"{split}/{name}.npy has {len(matrix)} rows, its manifest says {rows}")
        return matrix

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"Prepared dataset {self.name!r} is damaged: {what}. "
            f"Prepare it again: {self.manifest['command']} --force"
        )


def open_matrix(file: Path) -> NDArray[Any]:
    """Open an `.npy` file memory-mapped and read-only; an empty array is read instead.

    Copy on write would spare torch's warning, but the system counts it as writable memory and refuses to map
    a file larger than its memory that way.
    """
    with file.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        shape, _, _ = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")(stream)
    matrix: NDArray[Any] = np.load(file, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)
    return matrix


def open_prepared(
    home: Home, dataset: str, tasks: tuple[str, ...] = (), fingerprint: str | None = None
) -> Prepared:
    """Open the prepared dataset of that name.

    Args:
        home: where the dataset is stored.
        dataset: its name.
        tasks: the tasks to work with; empty means all that are not optional.
        fingerprint: of the data that runs were planned for; None accepts any.

    Raises:
        UsageError: the dataset has no such task.
        DataError: it is not prepared, its manifest cannot be read, or it was prepared anew since.
    """
    path = home.prepared(dataset)
    if not (path / "manifest.json").exists():
        raise _not_prepared(home, dataset)
    manifest = _manifest(path)
    if manifest.get("format") != FORMAT:
        raise DataError(
            f"Prepared dataset {dataset!r} has format {manifest.get('format')}, this version reads {FORMAT}. "
            f"Prepare it again: mtlbench prepare {dataset} --force"
        )
    if fingerprint is not None:
        _refuse_another(path, manifest, fingerprint)
    Schema.from_json(manifest["schema"]).only(tasks)  # refuses unknown tasks
    return Prepared(path, manifest, tasks)


def _not_prepared(home: Home, dataset: str) -> DataError:
    from mtlbench.data import DATASETS  # the recipes, which come before this stage

    names = sorted(prepared_names(home))
    mend = f" Prepare it: mtlbench prepare {dataset}"
    if dataset not in DATASETS:
        hint = did_you_mean(dataset, [*names, *DATASETS])
        mend = f"{hint} Prepare your own table: mtlbench prepare --card CARD.toml"
    ready = ", ".join(names) or "none"
    return DataError(f"Dataset {dataset!r} is not prepared in {home.root} (prepared: {ready}).{mend}")


def _manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read ({error}). Prepare it again: mtlbench prepare {path.parent.name} --force"
        ) from error
    return manifest


def _refuse_another(path: Path, manifest: dict[str, Any], wanted: str) -> None:
    """Refuse data that `prepare --force` replaced: their runs would be stored as runs on the old data."""
    if manifest["fingerprint"] != wanted:
        raise DataError(
            f"{path.relative_to(path.parents[2]).as_posix()} was prepared anew while this ran: its "
            f"fingerprint is {manifest['fingerprint'][:12]}, and was {wanted[:12]} when this began. Run "
            "again, or prepare it as it was."
        )


def prepared_names(home: Home) -> list[str]:
    """Return the names of the prepared datasets, the most recently prepared first."""
    manifests = home.datasets.glob("*/prepared/manifest.json")
    newest_first = sorted(manifests, key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [file.parent.parent.name for file in newest_first]


def open_dataset(home: Home, name: str, say: Callable[[str], None], tasks: tuple[str, ...] = ()) -> Prepared:
    """Open the prepared dataset of that name; without a name the most recently prepared one, and say so.

    `tasks` as in `open_prepared`.

    Raises:
        DataError: nothing is prepared; the message names the commands that prepare a dataset.
    """
    if name:
        return open_prepared(home, name, tasks)
    names = prepared_names(home)
    if not names:
        raise DataError(
            f"No dataset is prepared in {home.root}. Prepare one: mtlbench prepare shop (simulated, "
            "offline), or mtlbench prepare taobao"
        )
    say(f"Dataset: {names[0]} (the most recently prepared; choose with --dataset)")
    return open_prepared(home, names[0], tasks)
