"""Scaling of regression labels and numeric fields, both by mean and standard deviation on train."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mtlbench.data.matrix import blocks
from mtlbench.data.recipe import Progress
from mtlbench.load import SPLITS, open_matrix
from mtlbench.schema import Schema

NUMERIC = ("numeric", "group_numeric")
"""Matrices of numeric fields: one per row, one per group."""


def with_units(schema: Schema, out: Path) -> Schema:
    """Return the schema with mean and standard deviation on train of each regression's labels."""
    labels = open_matrix(out / "train" / "labels.npy")
    tasks = []
    for i, task in enumerate(schema.tasks):
        if task.kind == "regression":
            values = labels[:, i].astype(np.float64)
            deviation = float(np.nanstd(values)) or 1.0
            task = replace(task, mean=float(np.nanmean(values)), deviation=deviation)
        tasks.append(task)
    return replace(schema, tasks=tuple(tasks))


def moments(matrix: Path) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and standard deviation of each column, without NaN, block by block in double precision."""
    values = open_matrix(matrix)
    rows, width = values.shape
    count = np.maximum(1, sum(((~np.isnan(values[b])).sum(axis=0) for b in blocks(rows)), np.zeros(width)))
    mean = (
        sum((np.nansum(values[b], axis=0, dtype=np.float64) for b in blocks(rows)), np.zeros(width)) / count
    )
    square = sum((np.nansum((values[b] - mean) ** 2, axis=0) for b in blocks(rows)), np.zeros(width)) / count
    return mean, np.sqrt(square)


def scale_all(schema: Schema, out: Path, progress: Progress) -> dict[str, list[float]]:
    """Scale every numeric field in place; return the mean and standard deviation on train of each."""
    scaling: dict[str, list[float]] = {}
    for grouped, matrix in enumerate(NUMERIC):
        progress("scale", grouped, len(NUMERIC))
        mean, deviation = moments(out / "train" / f"{matrix}.npy")
        for split in SPLITS:
            scale(out / split / f"{matrix}.npy", mean, deviation)
        names = [f.name for f in schema.of_kind("numeric") if f.grouped == bool(grouped)]
        both = np.stack([mean, deviation], axis=1).tolist()
        scaling |= dict(zip(names, both, strict=True))
    progress("scale", len(NUMERIC), len(NUMERIC))
    return scaling


def scale(matrix: Path, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Scale to (value - mean) / deviation in place; NaN becomes 0, and so do columns constant on train.

    A network learns nothing from the latter, so that a different value later would only disturb it.
    """
    values = np.load(matrix, mmap_mode="r+") if len(mean) else np.empty((0, 0))
    divisor = np.where(deviation > 0, deviation, 1.0)
    for rows in blocks(len(values)):
        block = values[rows]
        block[:] = np.where(deviation > 0, np.nan_to_num((block - mean) / divisor, nan=0.0), 0.0)
