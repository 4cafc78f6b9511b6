"""Every way to look at one field alone, and how well that tells a task's positives from its negatives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.hashing import splitmix64
from mtlbench.data.recipe import Built
from mtlbench.load import SPLITS, SplitName
from mtlbench.schema import OUT_OF_VOCABULARY, PADDING

SAMPLE = 200_000
"""About how many rows of a split are looked at, chosen by a hash of the row number."""
SMOOTHING = 20.0
"""Rows' worth of the base rate in a train rate."""


Rates = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Categorical field -> task -> rate of positives per index."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to look at one field: `values` of a split's sampled rows; `task` where it is about one only."""

    field: str
    of: str
    what: str
    values: NDArray[Any]
    task: str = ""

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"{self.field} {self.what}".strip()


def readings(
    built: Built,
    out: Path,
    split: SplitName,
    rows: NDArray[np.int64],
    rates: Rates,
) -> Iterator[Reading]:
    """Every way to look at every field on these rows of a split."""
    schema = built.schema
    numeric = np.load(built.numeric[split], mmap_mode="r")
    for i, f in enumerate(schema.of_kind("numeric")):
        values = numeric[:, i][rows]
        yield Reading(f.name, f.of, "", values)
        yield Reading(f.name, f.of, "absent", values == np.float32(built.absent.get(f.name, 0.0)))
    categorical = np.load(out / split / "categorical.npy", mmap_mode="r")
    for i, f in enumerate(schema.of_kind("categorical")):
        values = categorical[:, i][rows]
        yield Reading(f.name, f.of, "", values)
        yield Reading(f.name, f.of, "absent", values == PADDING)
        yield Reading(f.name, f.of, "out of vocabulary", values == OUT_OF_VOCABULARY)
        if split == "validation":
            for task, rate in rates[f.name].items():
                yield Reading(f.name, f.of, "train rate", rate[values], task)
    sequence = np.load(out / split / "sequence.npy", mmap_mode="r")
    start = 0
    for f in schema.of_kind("sequence"):
        values = sequence[:, start : start + f.length][rows]
        yield Reading(f.name, f.of, "", (values != PADDING).sum(axis=1))
        yield Reading(f.name, f.of, "out of vocabulary", (values == OUT_OF_VOCABULARY).sum(axis=1))
        start += f.length


def sampled_rows(rows: int) -> NDArray[np.int64]:
    """About SAMPLE row numbers, ascending, or all where there are fewer."""
    numbers = np.arange(rows)
    if rows <= SAMPLE:
        return numbers
    return np.flatnonzero(splitmix64(numbers) < np.uint64(SAMPLE / rows * 2**64))


def aucs(values: NDArray[Any], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC of one score on every column of `labels`; NaN where a column is constant.

    `mtlbench.metrics.auc` for many tasks at the cost of one sort.
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # mean rank of the rows that share a value
    ranks = labels.T.astype(np.float64) @ middle[inverse]
    positive = labels.sum(axis=0, dtype=np.int64)
    pairs = (positive * (len(labels) - positive)).astype(np.float64)
    pairs[pairs == 0] = np.nan
    scored: NDArray[np.float64] = (ranks - positive * (positive + 1) / 2) / pairs
    return scored


def train_rates(built: Built, out: Path, tasks: Mapping[str, int]) -> Rates:
    """For each categorical field and task: the smoothed rate of positives per index, on train."""
    categorical = np.load(out / "train" / "categorical.npy", mmap_mode="r")
    labels = np.load(out / "train" / "labels.npy", mmap_mode="r")
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for i, f in enumerate(built.schema.of_kind("categorical")):
        index, size = categorical[:, i], built.vocabularies[f.vocabulary]
        rows = np.bincount(index, minlength=size)
        found[f.name] = {}
        for task, column in tasks.items():
            label = labels[:, column] > 0
            positive = np.bincount(index, weights=label, minlength=size)
            found[f.name][task] = (positive + SMOOTHING * label.mean()) / (rows + SMOOTHING)
    return found


def identical_tasks(built: Built, out: Path) -> list[list[str]]:
    """Pairs of tasks with the same label on every row of every split."""
    names = built.schema.task_names
    same = set(combinations(range(len(names)), 2))
    for split in SPLITS:
        labels = np.load(out / split / "labels.npy", mmap_mode="r")
        same = {(i, j) for i, j in same if np.array_equal(labels[:, i], labels[:, j], equal_nan=True)}
    return [[names[i], names[j]] for i, j in sorted(same)]
