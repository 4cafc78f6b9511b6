"""Results of an arm, and of the points of a frontier, as runs leave them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench import metrics
from mtlbench.config import FIRST_TUNING_SEED
from mtlbench.files import seal
from mtlbench.results import FORMAT, Result, Scores, read_result
from mtlbench.schema import Schema, Task

SCHEMA = Schema(fields=(), tasks=(Task(name="click"), Task(name="stars", kind="regression")), cluster="user")
USERS = 60
FRONTIER = "hard-sharing + static-frontier"
TUNING = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + 3)

Skill = tuple[float, float]
"""How much of the truth the scores of `click` and of `stars` hold."""


def scores(seed: int, arm: str, skill: Skill) -> Scores:
    """The same test rows for every arm and seed; scores that depend on both."""
    rows = np.random.default_rng(7)
    cluster = np.repeat(rows.permutation(USERS), 10).astype(np.int64)
    taste = rows.normal(size=len(cluster))
    click, stars = (taste > 0.3).astype(np.float32), (3 + taste).astype(np.float32)
    stars[cluster % 6 == 0] = np.nan  # users without a rating: the tasks differ in their clusters
    noise = np.random.default_rng((seed, *arm.encode())).normal(size=(2, len(cluster)))
    score = {
        "click": (skill[0] * taste + noise[0]).astype(np.float32),
        "stars": (3 + 0.5 * (skill[1] * taste + noise[1])).astype(np.float32),
    }
    return Scores(cluster, {"click": click, "stars": stars}, score, score)


def result(home: Path, run: Mapping[str, Any], validation: float | None, stored: Scores) -> Result:
    """A result as a run leaves it; `validation` is the criterion of its deployable checkpoint."""
    folder = home / str(len(list(home.iterdir())))
    folder.mkdir()
    stored.save(folder / "scores.npz")
    test = {
        t.name: metrics.score_task(t.kind, stored.label[t.name], stored.score[t.name], stored.cluster)
        for t in SCHEMA.tasks
    }
    data = {
        "format": FORMAT,
        "fingerprint": "f",
        "run": {"method_options": {}, "balancer": "equal", "balancer_options": {}, "training": {}, **run},
        "metrics": {"test": test, "test_best": test},
        "costs": {"parameters": 9, "rows_per_second": 100.0, "wall_seconds": 2.0},
    }
    if validation is not None:
        data["checkpoint_criterion"] = validation
    (folder / "result.json").write_text(json.dumps(data))
    seal(folder)
    read = read_result(folder)
    assert read is not None
    return read


def arm(home: Path, method: str, skill: Skill = (1.0, 1.0), seeds: int = 6, **run: Any) -> list[Result]:
    name = method + json.dumps(run)
    return [
        result(home, {"method": method, "seed": s, **run}, None, scores(s, name, skill)) for s in range(seeds)
    ]


def point(
    home: Path,
    alpha: float,
    validation: float | None,
    skill: Skill = (1.0, 1.0),
    seeds: Sequence[int] = range(6),
    tuning: Sequence[int] = TUNING,
    compared: float | None = None,
) -> list[Result]:
    """One point of hard sharing's frontier.

    Its criterion is `validation` with the tuning seeds, and `compared` (else the same) with the others.
    """
    weights = {"click": 2 * alpha, "stars": 2 - 2 * alpha}
    run = {
        "method": "hard-sharing",
        "balancer": "static-frontier",
        "balancer_options": {"weights": weights},
    }
    criteria = {
        **dict.fromkeys(seeds, validation if compared is None else compared),
        **dict.fromkeys(tuning, validation),
    }
    return [
        result(home, {**run, "seed": s}, value, scores(s, f"point {alpha}", skill))
        for s, value in criteria.items()
    ]
