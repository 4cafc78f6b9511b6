"""A1 and A7 on scores simulated under the crossed model: how often a true gain of 0 is called.

Every replicate draws new users and new seeds, and goes through the influences, `two_way` and `judge` that
`compare` uses. The generator is keyed by (check, setting, replicate), so processes and chunks do not matter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtlbench.protocol.check import Finding, Lab, Scale, most_calls, share
from mtlbench.protocol.model import USUAL_INTERCEPT, ScoreModel, auc_contrasts, simulate
from mtlbench.statistics.variance import Estimate, two_way
from mtlbench.statistics.verdict import Judgement, Verdict, judge

ALPHA = 0.05
LARGEST_RATE = 0.06
"""Largest rate allowed of Satterthwaite's df at a nominal 5 % (docs/protocol.md, section 9: 5.9 %)."""
REPLICATES = Scale(2000, 200)
UNEVEN_REPLICATES = Scale(1000, 200)
"""Replicates of a setting with few positives or very unequal users."""
CHUNK = Scale(50, 20)
"""Replicates per item."""
SIMULATED = "scores simulated under the crossed model"

SAME_METHOD = tuple(
    ScoreModel(seeds=seeds, seed=seed, user=0.3, same_users=True)
    for seeds, seed in product((5, 10), (0.0, 0.1))
)
NEUTRAL = tuple(
    ScoreModel(seeds=seeds, seed=0.03, user=user) for seeds, user in product((5, 10), (0.1, 0.3, 1.0))
)

UNEVEN: tuple[Mapping[str, Any], ...] = (
    {"users": 300, "intercept": -4.5},
    {"users": 200, "zipf": 1.0},
    {"users": 300, "intercept": -4.2, "zipf": 1.0},
)
"""Settings where few users make the AUC: some 40 of 300 have a positive; one has a sixth of all rows; both.

The guards of `compare` are not applied: the test has to hold by itself.
"""
UNEVEN_KEY = 100
"""Offset of a check's number, so that its uneven settings have random numbers of their own."""
SAME_METHOD_UNEVEN = tuple(
    ScoreModel(seeds=seeds, seed=0.1, user=0.3, same_users=True, **uneven)
    for seeds, uneven in product((5, 10), UNEVEN)
)
NEUTRAL_UNEVEN = tuple(
    ScoreModel(seeds=seeds, seed=0.01, user=1.0, **uneven) for seeds, uneven in product((5, 10), UNEVEN)
)

Estimator = Callable[[NDArray[np.float64]], Estimate]


class Judged(NamedTuple):
    """One replicate: the estimate of a gain that is 0 in truth, and its judgement."""

    estimate: Estimate
    judgement: Judgement

    @property
    def called(self) -> bool:
        """Whether it was called a gain or a loss."""
        return self.judgement.verdict in (Verdict.POSITIVE, Verdict.NEGATIVE)


class Task(NamedTuple):
    """One item: some replicates of one setting of a check."""

    key: tuple[int, int]
    model: ScoreModel
    replicates: range


def a1(lab: Lab, estimator: Estimator = two_way) -> list[Finding]:
    """Count two-sided calls between identical methods with disjoint seeds, in a family of one."""
    return [
        _rate("A1", f"identical methods, {words(model)}: called different", judged)
        for model, judged in chain(
            replicates(lab, 1, SAME_METHOD, estimator),
            replicates(lab, UNEVEN_KEY + 1, SAME_METHOD_UNEVEN, estimator, UNEVEN_REPLICATES),
        )
    ]


def a7(lab: Lab, estimator: Estimator = two_way) -> list[Finding]:
    """Count two-sided calls between arms of equal metric that differ for every user, in a family of one."""
    return [
        _rate("A7", f"equal in truth, another for every user, {words(model)}: called different", judged)
        for model, judged in chain(
            replicates(lab, 7, NEUTRAL, estimator),
            replicates(lab, UNEVEN_KEY + 7, NEUTRAL_UNEVEN, estimator, UNEVEN_REPLICATES),
        )
    ]


def _rate(check: str, what: str, judged: Sequence[Judged]) -> Finding:
    """Bound how often a true gain of 0 is called, by the verdict and by the unadjusted p-value.

    The latter uses Satterthwaite's degrees of freedom throughout, hence its own bound.
    """
    replicates = len(judged)
    verdicts = sum(one.called for one in judged)
    p_values = sum(one.judgement.p_value <= ALPHA for one in judged)
    most, most_p = most_calls(replicates, ALPHA), most_calls(replicates, LARGEST_RATE)
    return Finding(
        check=check,
        what=what,
        bound=f"verdict at most {most:,} (5 % and luck), p <= .05 at most {most_p:,} (6 % and luck)",
        measured=f"verdict {share(verdicts, replicates)}, p <= .05 {share(p_values, replicates)}",
        holds=verdicts <= most and p_values <= most_p,
        seeds=f"replicates 0-{replicates - 1}",
        simulated=SIMULATED,
    )


def words(model: ScoreModel) -> str:
    """Describe what tells a model from the others."""
    uneven = ", few positives" * (model.intercept < USUAL_INTERCEPT) + ", Zipf rows" * (model.zipf > 0)
    return f"{model.seeds} seeds, sd of seeds {model.seed:g}, of users {model.user:g}{uneven}"


def replicates(
    lab: Lab, check: int, models: Sequence[ScoreModel], estimator: Estimator, scale: Scale | None = None
) -> Iterator[tuple[ScoreModel, list[Judged]]]:
    """Yield each setting with its judged replicates: `REPLICATES` unless another scale is given."""
    parts = list(chunks((scale or REPLICATES).of(lab.quick), CHUNK.of(lab.quick)))
    tasks = [Task((check, i), model, chunk) for i, model in enumerate(models) for chunk in parts]
    done = lab.map(partial(judge_replicates, estimator=estimator), tasks)
    for model in models:
        yield model, [one for _ in parts for one in next(done)]


def judge_replicates(task: Task, estimator: Estimator = two_way) -> list[Judged]:
    """Judge each replicate of an item as a family of one."""
    judged = []
    for replicate in task.replicates:
        drawn = simulate(task.model, np.random.default_rng((*task.key, replicate)))
        estimate = estimator(auc_contrasts(drawn))
        judged.append(Judged(estimate, judge([estimate], [0.001], alpha=ALPHA)[0]))
    return judged


def chunks(number: int, size: int) -> Iterator[range]:
    """Split the range from 0 to `number` into chunks of `size`."""
    for start in range(0, number, size):
        yield range(start, min(start + size, number))
