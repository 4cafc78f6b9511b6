"""From influences to one estimate per cell: each arm is paired with its baseline seed by seed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare.arms import Arm, baseline_of
from mtlbench.compare.influences import Cell, Influenced, Influences, Rows, ScoredRows
from mtlbench.compare.measures import contrast, metric_of
from mtlbench.errors import UndefinedMetric
from mtlbench.results import Result
from mtlbench.schema import Task
from mtlbench.statistics.variance import Estimate, two_way, undefined

NOTHING = undefined(0, 0)


@dataclass(frozen=True, slots=True)
class Pairing:
    """How similar two arms are, as correlations: what pairing by seed and by cluster is worth.

    Attributes:
        seeds: correlation over seeds of the two arms' metric.
        clusters: correlation over clusters of their influences, averaged over seeds. Two models scored on
            the same rows agree on who is hard to predict; a value near 0 suggests that the rows differ.
    """

    seeds: float = math.nan
    clusters: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One cell of one arm compared with the baseline, before it is judged; NaN where a number has no value.

    Attributes:
        estimate: the gain and its variance components, in the unit of the gain.
        reason: why there is no gain; empty if there is one.
        value: the arm's metric, mean over the paired seeds.
        baseline_value: the same for the baseline.
        seed_gains: the gain of each paired seed.
        best: the gain when each arm uses the checkpoint that is best for this task alone.
        pairing: how similar the two arms are.
        unpaired: number of seeds that only one of the two arms has.
    """

    estimate: Estimate
    reason: str = ""
    value: float = math.nan
    baseline_value: float = math.nan
    seed_gains: tuple[float, ...] = ()
    best: Estimate = NOTHING
    pairing: Pairing = Pairing()
    unpaired: int = 0


class Contrasts:
    """Measures arms against the baseline; keeps the baseline's influences, which every arm needs."""

    def __init__(
        self, tasks: Sequence[Task], baseline: str, metric: str = "", strata: Sequence[Rows] = (None,)
    ) -> None:
        self.cells = [Cell(task, metric_of(task, metric), rows) for rows in strata for task in tasks]
        self._baseline = baseline
        self._test_rows: ScoredRows | None = None
        self._kept: dict[tuple[str, int], Influenced] = {}

    def measure(self, arm: Arm, baselines: Sequence[Arm]) -> list[Measured]:
        """Measure every cell of the arm, on the seeds that it and its baseline both have."""
        against = baseline_of(arm, baselines)
        seeds = sorted(arm.results.keys() & against.results.keys()) if against else []
        if against is None or not seeds:
            reason = f"no {self._baseline} run of the same seed to compare with"
            if against is None and baselines:
                reason = f"of {len(baselines)} {self._baseline} arms, not exactly one is made for this arm"
            return [Measured(estimate=NOTHING, reason=reason) for _ in self.cells]

        pairs = []
        for seed in seeds:
            key = (against.name, seed)
            if key not in self._kept:
                self._kept[key] = self.influences(against.results[seed])
            pairs.append((self.influences(arm.results[seed]), self._kept[key]))
        unpaired = len(arm.results.keys() ^ against.results.keys())
        return [replace(self._measured(i, pairs), unpaired=unpaired) for i in range(len(self.cells))]

    def influences(self, result: Result) -> Influenced:
        """Read a result's score file and return its influences.

        Raises:
            DataError: the file is missing or damaged, or was made on other test rows than earlier ones.
        """
        scores = result.scores()
        if self._test_rows is None:
            self._test_rows = ScoredRows(result, scores, self.cells)
        return self._test_rows.influences(result, scores)

    def _measured(self, cell: int, pairs: Sequence[tuple[Influenced, Influenced]]) -> Measured:
        assert self._test_rows is not None
        metric, clusters = self.cells[cell].metric, self._test_rows.clusters(cell)
        same = all(one.best[cell] is one.deployable[cell] for pair in pairs for one in pair)
        try:
            mine, base = stacked((m.deployable[cell], b.deployable[cell]) for m, b in pairs)
            contrasts = contrast(metric, mine, base)
        except UndefinedMetric as error:
            return Measured(
                estimate=undefined(len(pairs), clusters), reason=f"{metric} is undefined: {error}"
            )
        estimate = replace(two_way(contrasts), informative=self._test_rows.informative(cell))
        return Measured(
            estimate=estimate,
            value=float(mine.mean()),
            baseline_value=float(base.mean()),
            seed_gains=tuple(contrasts.mean(axis=0).tolist()),
            best=estimate if same else _best(metric, clusters, cell, pairs),
            pairing=Pairing(
                seeds=_correlation(mine.mean(axis=0), base.mean(axis=0)),
                clusters=_correlation(mine.mean(axis=1), base.mean(axis=1)),
            ),
        )


def _best(metric: str, clusters: int, cell: int, pairs: Sequence[tuple[Influenced, Influenced]]) -> Estimate:
    try:
        return two_way(contrast(metric, *stacked((m.best[cell], b.best[cell]) for m, b in pairs)))
    except UndefinedMetric:
        return undefined(len(pairs), clusters)


def stacked(pairs: Iterable[tuple[Influences, Influences]]) -> list[NDArray[np.float64]]:
    """Stack the influences of the method and those of the baseline, each as (clusters, seeds).

    Raises:
        UndefinedMetric: some seed has no influences.
    """
    sides: list[NDArray[np.float64]] = []
    for side in zip(*pairs, strict=True):
        defined = []
        for one in side:
            if isinstance(one, UndefinedMetric):
                raise one
            defined.append(one)
        sides.append(np.stack(defined, axis=1))
    return sides


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Pearson's correlation; NaN if one of the two does not vary."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])
