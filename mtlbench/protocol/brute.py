"""A12 and A16: metrics, influences and standard errors against definitions that count every pair.

The definitions take one weight per user, w = 1 for the metric itself. From P[u, v], the wins of u's positives
over v's negatives (ties one half), the AUC is `w'Pw / (w'n+ w'n-)`; the others are ratios of users' sums. So
one function of w serves for the influence (its derivative), for leaving a user out (w_u = 0) and for
resampling users (w a count), and it shares no line with the code that is tested.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtlbench.compare import compare
from mtlbench.home import Home
from mtlbench.protocol.check import Finding, Lab, Scale
from mtlbench.protocol.model import ScoreModel, simulate
from mtlbench.results import FORMAT, Result, Scores
from mtlbench.schema import Schema, Task
from mtlbench.statistics.influence import influence
from mtlbench.statistics.variance import two_way

SETS = Scale(24, 6)
"""Number of random data sets of A12."""
RESAMPLES = 2000
STEP = 1e-5
METRICS = ("auc", "gauc", "log_loss", "r2", "mae")
MODEL = ScoreModel(seeds=5, users=200, seed=0.05, user=0.4)
TIMES = 10
"""Number of times that each row occurs in A16."""

Array = NDArray[Any]
Definition = Callable[[Array], Array]
"""(sets, users) weights -> (sets,) values of a metric."""


class Deviations(NamedTuple):
    """The worst deviations on one data set: absolute, absolute, relative, relative."""

    metric: float
    influence: float
    jackknife: float
    resampled: float


def a12(lab: Lab) -> list[Finding]:
    """Compare five metrics with their definitions, on random data with ties and unequal users."""
    found = list(lab.map(deviations, range(SETS.of(lab.quick))))
    claims = (
        ("the metric is its definition by pairs and sums", 1e-10, "{:.1e}"),
        ("influences are U times the derivative in a user's weight, by differences", 1e-5, "{:.1e}"),
        ("spread of a gain's influences against the jackknife that leaves a user out", 0.05, "{:.1%}"),
        (f"sqrt(B) of a seed mean against {RESAMPLES:,} resamples of users", 0.10, "{:.1%}"),
    )
    return [
        Finding(
            check="A12",
            what=f"{claim}; worst of {len(found)} data sets and {', '.join(METRICS)}",
            bound=f"at most {form.format(bound)} off",
            measured=form.format(max(column)),
            holds=max(column) <= bound,
            seeds=f"data sets 0-{len(found) - 1}",
            simulated="scores simulated, with ties",
        )
        for (claim, bound, form), column in zip(claims, zip(*found, strict=True), strict=True)
    ]


def deviations(data_set: int) -> Deviations:
    """Return how far the code is from the definitions on one data set, the worst over the metrics."""
    rng = np.random.default_rng((12, data_set))
    drawn = simulate(MODEL, rng)
    scores = drawn.scores.round(1)
    value = drawn.label + scores.mean(axis=(0, 1)) + rng.standard_normal(len(drawn.label))
    weights = rng.multinomial(MODEL.users, np.full(MODEL.users, 1 / MODEL.users), RESAMPLES).astype(
        np.float64
    )
    per_metric = []
    for metric in METRICS:
        label = value if metric in ("r2", "mae") else drawn.label
        given = 1 / (1 + np.exp(1 - scores)) if metric == "log_loss" else scores
        per_metric.append(_deviations(metric, label, given, drawn.index, weights))
    return Deviations(*(max(column) for column in zip(*per_metric, strict=True)))


def _deviations(metric: str, label: Array, scores: Array, index: Array, weights: Array) -> Deviations:
    users = weights.shape[1]
    one, all_but_one = np.ones((1, users)), 1 - np.eye(users)
    up, down = 1 + STEP * np.eye(users), 1 - STEP * np.eye(users)
    phi = np.array([[influence(metric, label, score, index, users) for score in arm] for arm in scores])
    definitions = [[define(metric, label, score, index) for score in arm] for arm in scores]

    values = np.array([[d(one)[0] for d in arm] for arm in definitions])
    slopes = np.array([[(d(up) - d(down)) / (2 * STEP) for d in arm] for arm in definitions])
    left_out = np.array([[d(all_but_one) for d in arm] for arm in definitions])  # (arm, seed, user)
    drawn = np.array([[d(weights) for d in arm] for arm in definitions])  # (arm, seed, resample)

    contrast = (phi[0] - phi[1]).mean(axis=0)
    jackknife = (users - 1) * (left_out[0] - left_out[1]).mean(axis=0)
    resampled = (drawn[0] - drawn[1]).mean(axis=0).std(ddof=1)
    component = np.sqrt(two_way((phi[0] - phi[1]).T).user)
    return Deviations(
        metric=float(np.abs(phi.mean(axis=2) - values).max()),
        influence=float(np.abs(phi - (values[..., None] + users * slopes)).max()),
        jackknife=abs(float(contrast.std(ddof=1) / jackknife.std(ddof=1)) - 1),
        resampled=abs(float(component / resampled) - 1),
    )


def define(metric: str, label: Array, score: Array, index: Array) -> Definition:
    """Return the metric as a function of the users' weights."""
    users = int(index.max()) + 1
    membership = (index == np.arange(users)[:, None]).astype(np.float64)  # (user, row)
    if metric in ("auc", "gauc"):
        positive = label.astype(bool)
        above = score[positive][:, None] - score[~positive]
        wins = membership[:, positive] @ ((above > 0) + (above == 0) / 2) @ membership[:, ~positive].T
        counts = membership @ positive, membership @ ~positive
        return _auc(wins, *counts) if metric == "auc" else _gauc(wins, *counts)
    if metric == "r2":
        sums = (membership @ v for v in (np.ones(len(label)), label, label**2, (label - score) ** 2))
        return _r2(*sums)
    losses = np.abs(label - score) if metric == "mae" else -np.log(np.where(label, score, 1 - score))
    total, rows = membership @ losses, membership.sum(axis=1)
    return lambda w: np.asarray(w @ total / (w @ rows))


def _auc(wins: Array, positives: Array, negatives: Array) -> Definition:
    return lambda w: np.asarray(
        np.einsum("ku,uv,kv->k", w, wins, w, optimize=True) / (w @ positives) / (w @ negatives)
    )


def _gauc(wins: Array, positives: Array, negatives: Array) -> Definition:
    both = positives * negatives > 0
    rows = np.where(both, positives + negatives, 0)
    within = np.diag(wins) / np.where(both, positives * negatives, 1)
    return lambda w: np.asarray(w @ (rows * within) / (w @ rows))


def _r2(rows: Array, label: Array, squared_label: Array, squared_error: Array) -> Definition:
    return lambda w: 1 - w @ squared_error / (w @ squared_label - (w @ label) ** 2 / (w @ rows))


SCHEMA = Schema(fields=(), tasks=(Task(name="click"), Task(name="stars", kind="regression")), cluster="user")


def a16(lab: Lab) -> list[Finding]:
    """Compare each user's rows once with the same ten times, as score files through `compare`."""
    [largest] = lab.map(_largest_change, [lab.home])
    return [
        Finding(
            check="A16",
            what=f"each user's rows repeated {TIMES} times: gain and standard error of an AUC and of an R2",
            bound="unchanged to 1e-9, relative",
            measured=f"{largest:.1e}",
            holds=largest <= 1e-9,
            seeds="data set 0, seeds 0-4",
            simulated="scores simulated, with ties",
        )
    ]


def _largest_change(home: Home) -> float:
    once, often = (estimates(home.root / f"a16-{times}", times) for times in (1, TIMES))
    return max(abs(after / before - 1) for before, after in zip(once, often, strict=True))


def estimates(folder: Path, times: int) -> list[float]:
    """Return gain and standard error of each task, every row that often, as `compare` finds them on disk."""
    rng = np.random.default_rng((16, 0))
    drawn = simulate(MODEL, rng)
    value = drawn.label + rng.standard_normal(len(drawn.label))
    label = {"click": drawn.label.astype(np.float32), "stars": value.astype(np.float32)}
    results = []
    for method, arm in zip(("hard-sharing", "single-task"), drawn.scores, strict=True):
        for seed, score in enumerate(arm.round(1).astype(np.float32)):
            stored = Scores(*_repeated(times, drawn.index, label, {"click": score, "stars": score / 3}))
            results.append(_save(folder / f"{method}-{seed}", method, seed, stored))
    measured = [c.measured.estimate for c in compare(results, SCHEMA).comparisons]
    return [number for estimate in measured for number in (estimate.gain, estimate.se)]


def _repeated(times: int, index: Array, *columns: Mapping[str, Array]) -> tuple[Array, Any, Any, Any]:
    """Return the arguments of `Scores`, every row that often; the two checkpoints have the same scores."""
    label, score = ({name: np.repeat(c, times) for name, c in column.items()} for column in columns)
    return np.repeat(index, times), label, score, score


def _save(folder: Path, method: str, seed: int, scores: Scores) -> Result:
    """Write a result with only what `compare` reads."""
    folder.mkdir(parents=True)
    scores.save(folder / "scores.npz")
    run = {"method": method, "balancer": "equal", "seed": seed}
    return Result(folder, {"format": FORMAT, "dataset": "simulated", "fingerprint": "a16", "run": run})
