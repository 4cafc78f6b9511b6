"""From score files to one estimate a task: read, check, linearise, subtract.

Each arm is paired with its baseline seed by seed, on the same test rows. What is kept of a score file is one
influence a cluster and task, so memory holds the rows of one file, however many arms there are.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare.arms import Arm, baseline_of
from mtlbench.errors import DataError, UndefinedMetric
from mtlbench.results import Result, Scores
from mtlbench.schema import Task
from mtlbench.statistics.influence import influence
from mtlbench.statistics.variance import Estimate, two_way, undefined

Influences = NDArray[np.float64] | UndefinedMetric
"""(clusters,) influences on a task's metric, or why it has no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One task of one arm against the baseline, before it is judged; NaN where a number has no value.

    Attributes:
        estimate: the gain and its variance components, in the unit of the task's metric.
        reason: why there is no gain, else empty.
        value: the arm's metric, mean over the paired seeds.
        baseline_value: the baseline's, the same.
        seed_gains: the gain of each paired seed.
        gain_best: the gain when both arms use the checkpoint that is best for this task.
    """

    estimate: Estimate
    reason: str = ""
    value: float = math.nan
    baseline_value: float = math.nan
    seed_gains: tuple[float, ...] = ()
    gain_best: float = math.nan


class Contrasts:
    """Measures arms against the baseline; keeps the baseline's influences, which every arm needs."""

    def __init__(self, tasks: Sequence[Task], baseline: str) -> None:
        self._tasks = tasks
        self._baseline = baseline
        self._test_rows: _TestRows | None = None
        self._kept: dict[tuple[str, int], dict[str, Influences]] = {}

    def measure(self, arm: Arm, baselines: Sequence[Arm]) -> list[Measured]:
        """Every task of the arm, on the seeds that it and its baseline both have."""
        against = baseline_of(arm, baselines)
        seeds = sorted(arm.results.keys() & against.results.keys()) if against else []
        if against is None or not seeds:
            reason = f"no {self._baseline} run of the same seed to compare with"
            if against is None and baselines:
                reason = f"not exactly one of {len(baselines)} {self._baseline} arms has this arm's options"
            return [Measured(estimate=undefined(0, 0), reason=reason) for _ in self._tasks]

        pairs: dict[str, list[tuple[Influences, Influences]]] = {task.name: [] for task in self._tasks}
        for seed in seeds:
            key = (against.name, seed)
            if key not in self._kept:
                self._kept[key] = self._influences(against.results[seed])
            mine = self._influences(arm.results[seed])
            for task in self._tasks:
                pairs[task.name].append((mine[task.name], self._kept[key][task.name]))
        best = {task.name: _gain_best(task, arm, against, seeds) for task in self._tasks}
        return [
            _measured(task, self._clusters(task), pairs.pop(task.name), best[task.name])
            for task in self._tasks
        ]

    def _clusters(self, task: Task) -> int:
        """Clusters with at least one test row on which the task is defined."""
        assert self._test_rows is not None
        return self._test_rows.clusters(task)

    def _influences(self, result: Result) -> dict[str, Influences]:
        """Task -> its influences, from the result's score file."""
        scores = result.scores()
        _check_complete(result, scores, self._tasks)
        if self._test_rows is None:
            self._test_rows = _TestRows(result, scores, self._tasks)
        else:
            self._test_rows.check_same(result, scores)
        return {task.name: self._test_rows.influences(task, scores) for task in self._tasks}


class _TestRows:
    """The test rows that all results share, as the first one has them."""

    def __init__(self, result: Result, scores: Scores, tasks: Iterable[Task]) -> None:
        self._result, self._cluster = result, scores.cluster
        self._label = {task.name: scores.label[task.name] for task in tasks}
        self._defined: dict[str, _Defined] = {}
        everywhere: tuple[NDArray[np.intp], int] | None = None
        for task in tasks:
            label = scores.label[task.name]
            rows = ~np.isnan(label)
            if rows.all():
                everywhere = everywhere or _dense(scores.cluster)
                index, clusters = everywhere
                self._defined[task.name] = _Defined(None, _outcome(task, label), index, clusters)
            else:
                index, clusters = _dense(scores.cluster[rows])
                self._defined[task.name] = _Defined(rows, _outcome(task, label[rows]), index, clusters)

    def check_same(self, result: Result, scores: Scores) -> None:
        """Make sure that another result was scored on these very rows.

        Raises:
            DataError: it was not; the message names both folders.
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

    def clusters(self, task: Task) -> int:
        """Clusters with at least one row on which the task is defined."""
        return self._defined[task.name].clusters

    def influences(self, task: Task, scores: Scores) -> Influences:
        """The influences on one task's metric, or why it has no value."""
        at, score = self._defined[task.name], scores.score[task.name]
        try:
            score = score if at.rows is None else score[at.rows]
            return influence(task.metric, at.label, score, at.index, at.clusters)
        except UndefinedMetric as error:
            return error


@dataclass(frozen=True, slots=True)
class _Defined:
    """Where a task is defined: the rows (None: all), their labels, the dense numbers of their clusters."""

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


def _check_complete(result: Result, scores: Scores, tasks: Iterable[Task]) -> None:
    columns: dict[str, Mapping[str, NDArray[np.float32]]] = {"label": scores.label, "score": scores.score}
    for kind, column in columns.items():
        for task in tasks:
            if task.name not in column or column[task.name].shape != scores.cluster.shape:
                raise DataError(
                    f"{result.path / 'scores.npz'} is damaged: {kind}/{task.name} is missing or has not as "
                    "many rows as cluster. Remove its folder and run again: mtlbench run"
                )


def _measured(
    task: Task, clusters: int, pairs: Sequence[tuple[Influences, Influences]], gain_best: float
) -> Measured:
    """Estimate the gain from the influences of (arm, baseline), a pair a seed."""
    contrasts, values, baseline_values = [], [], []
    for mine, base in pairs:
        for one in (mine, base):
            if isinstance(one, UndefinedMetric):
                return Measured(
                    estimate=undefined(len(pairs), clusters), reason=f"{task.metric} is undefined: {one}"
                )
        assert not isinstance(mine, UndefinedMetric)
        assert not isinstance(base, UndefinedMetric)
        contrasts.append(mine - base)
        values.append(float(mine.mean()))
        baseline_values.append(float(base.mean()))
    return Measured(
        estimate=two_way(np.stack(contrasts, axis=1)),
        value=_mean(values),
        baseline_value=_mean(baseline_values),
        seed_gains=tuple(float(c.mean()) for c in contrasts),
        gain_best=gain_best,
    )


def _gain_best(task: Task, arm: Arm, against: Arm, seeds: Sequence[int]) -> float:
    """Mean gain with each arm's best checkpoint for this task, from the metrics stored with the results."""

    def value(result: Result) -> float:
        stored = result.data.get("metrics", {}).get("test_best", {}).get(task.name, {}).get(task.metric)
        return math.nan if stored is None else float(stored)

    return _mean([value(arm.results[s]) - value(against.results[s]) for s in seeds])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
