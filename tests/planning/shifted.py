"""A pilot that gained something else, and differs in nothing more."""

import json
from typing import Any

import numpy as np
import pytest

from mtlbench.files import seal
from mtlbench.results import Result, Scores

SHIFT = 0.25
"""Of R2."""


def shift_gain(result: Result, task: str, by: float = SHIFT) -> None:
    """Make the R2 of a task so much smaller, on disk.

    Each row's squared error grows by `by` times the row's share in the variance of the labels, so that its
    contrast has another gain and the very same variance components. The metrics in the result file move too.
    """
    stored = result.scores()
    label, score = stored.label[task].astype(np.float64), stored.score[task].astype(np.float64)
    error = np.sqrt((score - label) ** 2 + by * (label - np.nanmean(label)) ** 2)
    away = (label + np.where(score >= label, error, -error)).astype(np.float32)
    moved = {**stored.score, task: away}
    Scores(stored.cluster, stored.label, moved, moved).save(result.path / "scores.npz")
    data = json.loads((result.path / "result.json").read_text(encoding="utf-8"))
    for split in data["metrics"].values():
        if task in split:
            split[task] = {**split[task], "r2": split[task]["r2"] - by}
    (result.path / "result.json").write_text(json.dumps(data), encoding="utf-8")
    seal(result.path)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """The values of a JSON document by their paths."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in leaves(inner, f"{path}/{key}").items()}
    if isinstance(value, list):
        return leaves(dict(enumerate(value)), path)
    return {path: value}


def near(document: Any, rel: float) -> dict[str, Any]:
    """What the leaves of a document with the same numbers, but for rounding, are equal to."""
    return {
        path: pytest.approx(value, rel=rel) if isinstance(value, float) else value
        for path, value in leaves(document).items()
    }
