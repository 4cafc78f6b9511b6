"""Readings of single fields, and how well each separates a task's positives from its negatives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.hashing import splitmix64
from mtlbench.data.recipe import Built
from mtlbench.load import GROUP, SPLITS, SplitName, open_matrix
from mtlbench.schema import OUT_OF_VOCABULARY, PADDING, Field, FieldKind, Schema

SAMPLE = 200_000
"""Approximate number of rows of a split that are read, chosen by a hash of the row number."""
SMOOTHING = 20.0
"""Weight of the base rate in a train rate, in rows."""

Rates = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Field of ids -> task -> rate of positives per index."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one field: `values` of a split's sampled rows; `task` if it is for one task only."""

    field: str
    of: str
    what: str
    values: NDArray[Any]
    task: str = ""

    @property
    def name(self) -> str:
        """Name of the reading in reports."""
        return f"{self.field} {self.what}".strip()


class SplitColumns:
    """One split in `out` as columns, over chosen rows or all, with group values repeated for their rows."""

    def __init__(
        self, built: Built, out: Path, split: SplitName, rows: NDArray[np.int64] | None = None
    ) -> None:
        self._folder, self._schema = out / split, built.schema
        self._rows: Any = slice(None) if rows is None else rows
        self._groups: Any = self._open(GROUP)[self._rows] if built.schema.grouped else self._rows

    def _open(self, name: str) -> NDArray[Any]:
        return open_matrix(self._folder / f"{name}.npy")

    def fields(self, kind: FieldKind) -> Iterator[tuple[Field, NDArray[Any]]]:
        """Yield each field of a kind with its values: (rows,), for a sequence (rows, length).

        Numbers are unscaled, ids are indices.
        """
        columns = self._sequences() if kind == "sequence" else self._columns(kind)
        return zip(self._schema.of_kind(kind), columns, strict=True)

    def _columns(self, name: str) -> Iterator[NDArray[Any]]:
        for matrix, rows in ((self._open(name), self._rows), (self._open(f"group_{name}"), self._groups)):
            for i in range(matrix.shape[1]):
                yield matrix[:, i][rows]

    def _sequences(self) -> Iterator[NDArray[np.int32]]:
        """Cut the matrix of sequences, which holds them side by side."""
        matrix = np.asarray(self._open("sequence")[self._groups])
        ends = np.cumsum([f.length for f in self._schema.of_kind("sequence")])
        return iter(np.split(matrix, ends[:-1], axis=1) if len(ends) else ())

    def labels(self) -> NDArray[np.float32]:
        """Return the labels (rows, tasks), NaN where not defined."""
        return np.asarray(self._open("labels")[self._rows])

    def cluster(self) -> NDArray[np.int64]:
        """Return the cluster of each row, (rows,)."""
        return np.asarray(self._open("cluster")[self._groups])


class Outcomes:
    """Labels as yes or no: whether the event happened; for a regression, whether it exceeds train's mean.

    Attributes:
        positive: (rows, tasks) False where the task is not defined.
        defined: (rows, tasks).
    """

    def __init__(self, labels: NDArray[np.float32], thresholds: NDArray[np.float64]) -> None:
        self.defined: NDArray[np.bool_] = ~np.isnan(labels)
        self.positive: NDArray[np.bool_] = labels > thresholds  # a NaN is not above anything
        alike: dict[bytes, list[int]] = {}
        for task, column in enumerate(self.defined.T):
            alike.setdefault(column.tobytes(), []).append(task)
        self._alike = list(alike.values())

    def aucs(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Compute the AUC of one score on every task, over its own rows; NaN if all or none are positive."""
        scored = np.full(self.positive.shape[1], np.nan)
        for tasks in self._alike:  # tasks that are defined on the same rows
            rows = self.defined[:, tasks[0]]
            if rows.all():
                scored[tasks] = aucs(values, self.positive[:, tasks])
            elif rows.any():
                scored[tasks] = aucs(values[rows], self.positive[rows][:, tasks])
        return scored


def readings(built: Built, columns: SplitColumns, rates: Rates | None) -> Iterator[Reading]:
    """Yield every reading of every field; with `rates`, the train rates too."""
    for f, numbers in columns.fields("numeric"):
        yield Reading(f.name, f.of, "", numbers)
        yield Reading(f.name, f.of, "absent", absent_numbers(built, f, numbers))
    for f, index in columns.fields("categorical"):
        yield Reading(f.name, f.of, "", index)
        yield Reading(f.name, f.of, "absent", index == PADDING)
        yield Reading(f.name, f.of, "out of vocabulary", index == OUT_OF_VOCABULARY)
        if rates is not None:
            for task, rate in rates[f.name].items():
                yield Reading(f.name, f.of, "train rate", rate[index], task)
    for f, values in columns.fields("sequence"):
        there = values != PADDING
        yield Reading(f.name, f.of, "", values[:, -1])
        yield Reading(f.name, f.of, "length", there.sum(axis=1))
        yield Reading(f.name, f.of, "out of vocabulary", (values == OUT_OF_VOCABULARY).sum(axis=1))
        if rates is not None:
            for task, rate in rates[f.name].items():
                mean = (rate[values] * there).sum(axis=1) / np.maximum(1, there.sum(axis=1))
                yield Reading(f.name, f.of, "train rate", mean, task)


def absent_numbers(built: Built, field: Field, numbers: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where an unscaled numeric field holds nothing."""
    nothing = np.float32(built.absent.get(field.name, np.nan))
    return np.isnan(numbers) if np.isnan(nothing) else numbers == nothing


def sampled_rows(rows: int) -> NDArray[np.int64]:
    """Choose about SAMPLE row numbers, ascending, or all if there are fewer."""
    numbers = np.arange(rows)
    if rows <= SAMPLE:
        return numbers
    return np.flatnonzero(splitmix64(numbers) < np.uint64(SAMPLE / rows * 2**64))


def aucs(values: NDArray[Any], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute the AUC of one score on every column of `labels`; NaN if a column is constant.

    Like `mtlbench.metrics.auc`, for many tasks at the cost of one sort; NaN scores rank highest, as ties.
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # mean rank of the rows that share a value
    ranks = labels.T.astype(np.float64) @ middle[inverse]
    positive = labels.sum(axis=0, dtype=np.int64)
    pairs = (positive * (len(labels) - positive)).astype(np.float64)
    pairs[pairs == 0] = np.nan
    scored: NDArray[np.float64] = (ranks - positive * (positive + 1) / 2) / pairs
    return scored


def thresholds(built: Built, out: Path) -> NDArray[np.float64]:
    """Return the value (tasks,) above which a label counts as yes: 0, or a regression's mean on train."""
    labels = open_matrix(out / "train" / "labels.npy")
    return np.array(
        [
            np.nanmean(labels[:, i], dtype=np.float64) if task.kind == "regression" else 0.0
            for i, task in enumerate(built.schema.tasks)
        ]
    )


def train_rates(built: Built, out: Path, limits: NDArray[np.float64]) -> Rates:
    """Compute, for each field of ids and each task, the smoothed rate of positives per index, on train.

    In a sequence every id counts for its row, and only sampled rows are used.
    """
    schema, columns = built.schema, SplitColumns(built, out, "train")
    labels = columns.labels()
    found = {
        f.name: _rates(index, labels, limits, schema, built.vocabularies[f.vocabulary])
        for f, index in columns.fields("categorical")
    }
    if schema.of_kind("sequence"):
        some = SplitColumns(built, out, "train", sampled_rows(built.rows["train"]))
        labels = some.labels()
        for f, ids in some.fields("sequence"):
            row, place = np.nonzero(ids != PADDING)
            size = built.vocabularies[f.vocabulary]
            found[f.name] = _rates(ids[row, place], labels[row], limits, schema, size)
    return found


def _rates(
    index: NDArray[np.int32],
    labels: NDArray[np.float32],
    limits: NDArray[np.float64],
    schema: Schema,
    size: int,
) -> dict[str, NDArray[np.float64]]:
    """Compute the smoothed rates of each task, by index."""
    found = {}
    for i, task in enumerate(schema.tasks):
        defined, positive = ~np.isnan(labels[:, i]), labels[:, i] > limits[i]
        rows = np.bincount(index, weights=defined, minlength=size)
        happened = np.bincount(index, weights=positive, minlength=size)
        base = positive.sum() / max(1, defined.sum())
        found[task.name] = (happened + SMOOTHING * base) / (rows + SMOOTHING)
    return found


def identical_tasks(built: Built, out: Path) -> list[list[str]]:
    """Find pairs of tasks with the same label on every row of every split."""
    names = built.schema.task_names
    same = set(combinations(range(len(names)), 2))
    for split in SPLITS:
        labels = open_matrix(out / split / "labels.npy")
        same = {(i, j) for i, j in same if np.array_equal(labels[:, i], labels[:, j], equal_nan=True)}
    return [[names[i], names[j]] for i, j in sorted(same)]
