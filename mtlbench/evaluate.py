"""Evaluation: the only place that opens the test split, once per run, after training has ended."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mtlbench.config import Precision
from mtlbench.floors.base import Floor, Model
from mtlbench.floors.columns import blocks
from mtlbench.load import Prepared
from mtlbench.metrics import score_task
from mtlbench.results import Scores
from mtlbench.schema import Schema
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.matrices import Matrices
from mtlbench.train.stack import Stack
from mtlbench.train.trained import Trained


def score_test(
    blueprint: Blueprint,
    trained: Sequence[Trained],
    prepared: Prepared,
    device: torch.device,
    precision: Precision = "fp32",
) -> tuple[Scores, float]:
    """Score the test split with the checkpoints of one run.

    Args:
        blueprint: the method on this dataset.
        trained: the models of one run, which together cover every task; none of them failed.
        prepared: where the test split is.
        device: where to score.
        precision: the one used in training.

    Returns:
        The scores, and the seconds in which the deployable checkpoints made theirs.
    """
    split = prepared.open_split("test")
    names = blueprint.schema.task_names
    score: dict[str, NDArray[np.float32]] = {}
    score_best: dict[str, NDArray[np.float32]] = {}
    seconds = 0.0
    for outcome in trained:
        assert outcome.deployable is not None
        deployable = outcome.deployable
        stack = Stack(blueprint, [outcome.replica], device, precision, weights=[deployable.weights])
        test = Matrices.of(split, stack.layout, device)
        began = time.perf_counter()
        predicted = {deployable.step: stack.predict(test)[0].numpy()}  # step -> (row, task of this model)
        seconds += time.perf_counter() - began
        for best in outcome.best.values():
            if best.step not in predicted:
                stack.load([best.weights])
                predicted[best.step] = stack.predict(test)[0].numpy()
        for i, k in enumerate(outcome.replica.tasks):
            score[names[k]] = predicted[deployable.step][:, i]
            score_best[names[k]] = predicted[outcome.best[k].step][:, i]
    scores = Scores(
        cluster=split.clusters(),
        label={name: np.asarray(split.labels[:, k]) for k, name in enumerate(names)},
        score={name: score[name] for name in names},
        score_best={name: score_best[name] for name in names},
    )
    return scores, seconds


def score_floor(floor: Floor, models: Sequence[Model], prepared: Prepared) -> tuple[Scores, float]:
    """Score the test split with the models of a floor, one per task; `score_best` equals `score`.

    Returns:
        The scores, and the seconds in which they were made, features included.
    """
    split = prepared.open_split("test")
    names = prepared.schema.task_names
    began, parts = time.perf_counter(), []
    for block in blocks(prepared.schema, split):
        features = floor.features(block)
        parts.append(np.stack([model.predict(features) for model in models], axis=1, dtype=np.float32))
    seconds = time.perf_counter() - began
    predicted = np.concatenate(parts)  # (row, task)
    score = {name: predicted[:, k] for k, name in enumerate(names)}
    label = {name: np.asarray(split.labels[:, k]) for k, name in enumerate(names)}
    return Scores(cluster=split.clusters(), label=label, score=score, score_best=score), seconds


def test_metrics(schema: Schema, scores: Scores) -> dict[str, dict[str, dict[str, float | None]]]:
    """Compute the metrics of every task from exactly the scores that are stored.

    Returns:
        `test`: from the deployable checkpoint, on the rows where the task is defined; `test_best`: from the
        checkpoint best for that task; `test_given_<other>`: as `test`, on the rows where the task that
        `Task.given` names happened. An undefined metric is None.
    """
    tables: dict[str, dict[str, Any]] = {"test": {}, "test_best": {}}
    for task in schema.tasks:
        label, cluster = scores.label[task.name], scores.cluster
        score, best = scores.score[task.name], scores.score_best[task.name]
        tables["test"][task.name] = score_task(task.kind, label, score, cluster)
        tables["test_best"][task.name] = score_task(task.kind, label, best, cluster)
        if task.given:
            on = scores.label[task.given] == 1
            table = tables.setdefault(f"test_given_{task.given}", {})
            table[task.name] = score_task(task.kind, label[on], score[on], cluster[on])
    return tables
