"""Results of three tasks as runs leave them: the truth is known, so is the skill of each arm."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench import metrics
from mtlbench.compare import Comparison
from mtlbench.files import seal
from mtlbench.results import FORMAT, Result, Scores, read_result
from mtlbench.schema import Schema, Task

ABOUT = {
    "dataset": "toy",
    "fingerprint": "f",
    "simulated": False,
    "cluster": "user",
    "seed_groups": [],
    "runs": [],
}
"""What a document says beside its comparisons."""
SCHEMA = Schema(
    fields=(),
    tasks=(
        Task(name="view", truth="helps"),
        Task(name="buy", given="view", truth="harms"),
        Task(name="stars", kind="regression"),
    ),
    cluster="user",
)
USERS = 80

Skill = Mapping[str, float]
"""Task -> how much of the truth the scores hold."""


def scores(seed: int, skill: Skill, arm: int = 0) -> Scores:
    """The same test rows for every arm and seed; scores that depend on both."""
    rows = np.random.default_rng(99)
    cluster = np.repeat(rows.permutation(USERS) * 10**12, 12).astype(np.int64)
    taste = rows.normal(size=len(cluster))
    view, stars = taste > 0.3, (3 + taste).astype(np.float32)
    stars[cluster % 7 == 0] = np.nan  # not defined for some users
    buy = taste + rows.normal(size=len(cluster)) > 1
    label = {"view": view.astype(np.float32), "buy": buy.astype(np.float32), "stars": stars}
    noise = np.random.default_rng((seed, arm)).normal(size=(3, len(cluster)))
    latent = {t: skill.get(t, 1.0) * taste + e for t, e in zip(label, noise, strict=True)}
    score = {t: (1 / (1 + np.exp(-x))).astype(np.float32) for t, x in latent.items()}
    score["stars"] = (3 + 0.5 * latent["stars"]).astype(np.float32)
    return Scores(cluster, label, score, score)


def save(folder: Path, method: str, seed: int, stored: Scores, **changes: Any) -> Result:
    """A result as a run leaves it."""
    folder.mkdir(parents=True)
    stored.save(folder / "scores.npz")
    best = {
        task.name: metrics.score_task(
            task.kind, stored.label[task.name], stored.score[task.name], stored.cluster
        )
        for task in SCHEMA.tasks
        if task.name in stored.score
    }
    per_task = method == "single-task"
    data = {
        "format": FORMAT,
        "dataset": "toy",
        "fingerprint": "f",
        "run": {
            "method": method,
            "method_options": {},
            "balancer": "equal",
            "balancer_options": {},
            "training": {},
            "seed": seed,
            **changes,
        },
        "metrics": {"test": best, "test_best": best},
        "costs": {
            "parameters": 300 if per_task else 150,
            "rows_per_second": 1000.0 + seed,
            "wall_seconds": 8.0,
            "scored_per_second": 2000.0 if per_task else 5000.0,
        },
    }
    (folder / "result.json").write_text(json.dumps(data))
    seal(folder)
    result = read_result(folder)
    assert result is not None
    return result


def arm(
    path: Path, method: str, seeds: int = 6, skill: Skill | None = None, start: int = 0, **changes: Any
) -> list[Result]:
    """An arm's results; arms of different methods have different noise."""
    number = sum(method.encode()) + sum(json.dumps(changes).encode())
    return [
        save(path / f"{method}-{number}-{s}", method, s, scores(s, skill or {}, number), **changes)
        for s in range(start, start + seeds)
    ]


def by_task(compared: Comparison, method: str = "mmoe") -> dict[str, dict[str, Any]]:
    return {c["task"]: c for c in compared.to_json()["comparisons"] if c["method"] == method}
