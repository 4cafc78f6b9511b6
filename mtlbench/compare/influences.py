"""From score files to influences: read, check that the rows are the same, linearise.

A cell is a task on all test rows, or on some of them. Only one influence per cluster and cell is kept of a
score file, so memory holds the rows of a single file, however many there are.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import DataError, UndefinedMetric
from mtlbench.results import Result, Scores
from mtlbench.schema import Task
from mtlbench.statistics.influence import influence, informative_clusters

THREADS = 2
"""Number of threads: sorting ten million scores takes most of a gigabyte each; numpy releases the GIL."""

Rows = NDArray[np.bool_] | None
"""(rows,) True for the test rows that count; None for all."""
Influences = NDArray[np.float64] | UndefinedMetric
"""(clusters,) influences on a task's metric, or the reason why the metric has no value."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured: a metric of a task, on all or some of the test rows."""

    task: Task
    metric: str
    rows: Rows = None


@dataclass(frozen=True, slots=True)
class Influenced:
    """One result's influences, one per cell: of the deployable checkpoint, and of each task's own best."""

    deployable: Sequence[Influences]
    best: Sequence[Influences]


class ScoredRows:
    """The test rows that all results share, taken from the first result."""

    def __init__(self, result: Result, scores: Scores, cells: Sequence[Cell]) -> None:
        _check_complete(result, scores, {cell.task.name for cell in cells})
        self._result, self._cluster = result, scores.cluster
        self._label = {cell.task.name: scores.label[cell.task.name] for cell in cells}
        self._cells = cells
        self._numbered = _dense(scores.cluster)
        self._defined = [self._where(cell) for cell in cells]

    def _where(self, cell: Cell) -> "_Defined":
        label = self._label[cell.task.name]
        rows = ~np.isnan(label) if cell.rows is None else cell.rows & ~np.isnan(label)
        if rows.all():
            return _Defined(None, _outcome(cell.task, label), *self._numbered)
        return _Defined(rows, _outcome(cell.task, label[rows]), *_dense(self._cluster[rows]))

    def _check_same(self, result: Result, scores: Scores) -> None:
        """Make sure that another result was scored on exactly these rows.

        Raises:
            DataError: the rows differ; the message names both folders.
        """
        differs = [
            f"label/{task}"
            for task, label in self._label.items()
            if not np.array_equal(scores.label[task], label, equal_nan=True)
        ]
        if not np.array_equal(scores.cluster, self._cluster):
            differs.insert(0, "cluster")
        if differs:
            raise DataError(
                f"{result.path} was scored on other test rows than {self._result.path}: "
                f"{', '.join(differs)} differ. One of the two comes from another preparation of the data or "
                "is damaged: remove its folder and run again: mtlbench run"
            )

    def clusters(self, cell: int) -> int:
        """Return the number of clusters with at least one row of the cell."""
        return self._defined[cell].clusters

    def informative(self, cell: int) -> int:
        """Return how many of the cell's clusters its metric rests on."""
        at = self._defined[cell]
        return informative_clusters(self._cells[cell].metric, at.label, at.index, at.clusters)

    def members(self, cell: int) -> NDArray[np.int64]:
        """Return the ids of the cell's clusters, increasing: the order of their influences."""
        rows = self._defined[cell].rows
        return np.unique(self._cluster if rows is None else self._cluster[rows])

    def influences(self, result: Result, scores: Scores) -> Influenced:
        """Return the influences on every cell's metric, or why it has no value.

        Raises:
            DataError: a column is missing, or the result was scored on other rows.
        """
        _check_complete(result, scores, self._label)
        self._check_same(result, scores)
        differs = {
            task: not np.array_equal(scores.score_best[task], scores.score[task]) for task in self._label
        }
        cells = range(len(self._cells))
        again = [i for i in cells if differs[self._cells[i].task.name]]
        jobs = [(i, scores.score) for i in cells] + [(i, scores.score_best) for i in again]
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda job: self._influence(*job), jobs))
        deployable = found[: len(cells)]
        best = dict(zip(again, found[len(cells) :], strict=True))
        return Influenced(deployable, [best.get(i, deployable[i]) for i in cells])

    def _influence(self, cell: int, scores: Mapping[str, NDArray[np.float32]]) -> Influences:
        at, score = self._defined[cell], scores[self._cells[cell].task.name]
        try:
            score = score if at.rows is None else score[at.rows]
            return influence(self._cells[cell].metric, at.label, score, at.index, at.clusters)
        except UndefinedMetric as error:
            return error


@dataclass(frozen=True, slots=True)
class _Defined:
    """Where a cell is defined: the rows (None: all), their labels, the dense numbers of their clusters."""

    rows: NDArray[np.bool_] | None
    label: NDArray[Any]
    index: NDArray[np.intp]
    clusters: int


def _outcome(task: Task, label: NDArray[np.float32]) -> NDArray[Any]:
    return label > 0 if task.kind == "binary" else label


def _dense(cluster: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    """Number the clusters 0..U-1 by increasing id."""
    ids, index = np.unique(cluster, return_inverse=True)
    return index, len(ids)


def _check_complete(result: Result, scores: Scores, tasks: Collection[str]) -> None:
    columns: dict[str, Mapping[str, NDArray[np.float32]]] = {
        "label": scores.label,
        "score": scores.score,
        "score_best": scores.score_best,
    }
    for kind, column in columns.items():
        for task in tasks:
            if task not in column or column[task].shape != scores.cluster.shape:
                raise DataError(
                    f"{result.path / 'scores.npz'} is damaged: {kind}/{task} is missing or has not as "
                    "many rows as cluster. Remove its folder and run again: mtlbench run"
                )
