"""Runs of floors: fitted one task at a time on train and validation, then evaluated."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from mtlbench.config import RunSpec, fill
from mtlbench.evaluate import score_floor
from mtlbench.floors.base import Features, Floor, Known, Model
from mtlbench.floors.columns import blocks
from mtlbench.load import Prepared, Split
from mtlbench.runs.outcome import Costs, FinishedRun
from mtlbench.schema import Task
from mtlbench.train.loop import primary
from mtlbench.train.randomness import key


def fit_floors(
    floor: type[Floor], prepared: Prepared, specs: Sequence[RunSpec], progress: Callable[[int], None]
) -> Iterator[FinishedRun]:
    """Fit and evaluate one run after another, in one thread, as in every worker process."""
    for spec in specs:
        with threadpool_limits(limits=1):
            yield _run(floor, prepared, spec, progress)


def _run(
    floor: type[Floor], prepared: Prepared, spec: RunSpec, progress: Callable[[int], None]
) -> FinishedRun:
    began = time.perf_counter()
    config = fill(floor.Config, spec.method_options, "method options")
    fitted = floor(prepared.schema, prepared.vocabularies, config, key(spec.seed, "floor") % 2**32)
    split, validation = prepared.open_split("train"), prepared.open_split("validation")
    rows = _drawn(len(split), config.max_rows, spec.seed, "train")
    seen = _seen(fitted, split, rows)
    held_out = _seen(fitted, validation, _drawn(len(validation), config.max_rows, spec.seed, "validation"))
    tasks, models, criteria, seconds = prepared.schema.tasks, [], [], []
    for k, task in enumerate(tasks):
        start = time.perf_counter()
        known, unseen = _known(task, *seen, k), _known(task, *held_out, k)
        model = known.constant() if known.one_class else fitted.fit_task(task, known, unseen)
        models.append(model)
        criteria.append(primary(task, unseen.label, model.predict(unseen.features)) / task.smallest_effect)
        seconds.append((time.perf_counter() - start) / max(1, len(known.label)))
        progress(spec.training.epochs * len(split))  # as many as `grid.rows_to_train` announced
    train_seconds = time.perf_counter() - began
    scores, score_seconds = score_floor(fitted, models, prepared)
    return FinishedRun(
        scores=scores,
        criterion=float(np.mean(criteria)),
        config=config,
        costs=Costs(
            parameters=_parameters(models),
            train_rows=len(tasks) * len(seen[1]),
            train_seconds=train_seconds,
            rows_per_second=1 / sum(seconds),
            wall_seconds=time.perf_counter() - began,
            scored_per_second=len(scores.cluster) / score_seconds,
        ),
        constant=floor.constant,
    )


def _drawn(rows: int, most: int, seed: int, split: str) -> NDArray[np.int64] | None:
    """Draw at most `most` of the rows, in increasing order; None means all of them."""
    if rows <= most:
        return None
    draw = np.random.default_rng(key(seed, "floor rows", split))
    return np.sort(draw.choice(rows, most, replace=False))


def _seen(floor: Floor, split: Split, rows: NDArray[np.int64] | None) -> tuple[Features, NDArray[np.float32]]:
    """Return the features of a split and its labels (row, task)."""
    parts, labels = [], []
    for block in blocks(floor.schema, split, rows):
        parts.append(floor.features(block))
        labels.append(block.labels)
    joined: Any = sparse.vstack(parts, "csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
    return joined, np.concatenate(labels)


def _known(task: Task, features: Features, labels: NDArray[np.float32], column: int) -> Known:
    label = labels[:, column]
    defined = ~np.isnan(label)
    if not defined.all():
        features, label = features[np.flatnonzero(defined)], label[defined]
    return Known(features, (label > 0).astype(np.float32) if task.kind == "binary" else label)


def _parameters(models: Sequence[Model]) -> int | None:
    """Return the number of parameters of all models together; None if unknown for one of them."""
    counts = [model.parameters for model in models]
    return None if None in counts else sum(count for count in counts if count is not None)
