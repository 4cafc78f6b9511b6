"""A3, A4, A5, A13: equalities that must hold.

The first three are limits of methods, trained through the ordinary pipeline on `mmoe-synthetic`; A13 swaps
the arms of a comparison. The half of A4 that needs plain SGD is in `soft_limit`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from mtlbench.compare import compare
from mtlbench.compare.task_comparison import TaskComparison
from mtlbench.config import Arm, Family, TrainingSettings
from mtlbench.protocol.check import Finding, Lab
from mtlbench.protocol.fixtures import NETWORK, Fixture, arm, drawn, held_against, results_of, train
from mtlbench.protocol.soft_limit import CLOSE, LAMBDA_ETA, Limit, approach
from mtlbench.results import Result
from mtlbench.statistics.verdict import Verdict

EQUAL = 1e-5
"""Tolerance of equal scores in units of the label; R2 and verdicts then agree in all digits printed."""
SEEDS = (0, 1, 2)
DATA_SEED = 800
DATA = Fixture(knobs={"n_a": 300, "n_b": 1000, "validation_rows": 300, "test_rows": 1000})
ONE_LOOK = TrainingSettings(epochs=1, batch_rows=50, learning_rate=1e-2, evaluations_per_epoch=1)
"""Settings of twenty steps and one evaluation: equal steps, no checkpoint to choose."""
EQUAL_STEPS = TrainingSettings(epochs=6, batch_rows=50, learning_rate=1e-2, patience=100)
STOPPED = TrainingSettings(epochs=20, batch_rows=50, learning_rate=3e-2, patience=2)
WHERE = f"data seed {DATA_SEED}, training seeds {SEEDS[0]}-{SEEDS[-1]}"
SWAPPED = {Verdict.POSITIVE: Verdict.NEGATIVE, Verdict.NEGATIVE: Verdict.POSITIVE}


def a3(lab: Lab) -> list[Finding]:
    """Check that `disjoint` is `single-task`: at equal steps, and with stopping at each task's best."""
    pair = (arm("single-task"), arm("disjoint"))
    return [
        _equal("A3", "disjoint and single-task, equal steps", lab, pair, ONE_LOOK, "score"),
        _equal(
            "A3", "disjoint and single-task, with stopping, per-task-best", lab, pair, STOPPED, "score_best"
        ),
    ]


def a4(lab: Lab) -> list[Finding]:
    """Check that soft sharing at lambda 0 is `disjoint`, and tends to hard sharing as lambda grows."""
    soft = Arm(method="soft-sharing", method_options={**NETWORK, "strength": 0.0})
    nothing = _equal(
        "A4", "soft sharing at lambda 0 and disjoint", lab, (arm("disjoint"), soft), STOPPED, "score"
    )
    with drawn(DATA, DATA_SEED, lab.home) as (_, prepared):
        return [nothing, *_limit_findings(approach(prepared))]


def _limit_findings(limits: Sequence[Limit]) -> list[Finding]:
    """Check that the networks meet, and that the scores become those of hard sharing."""
    distances, differences = [x.distance for x in limits], [x.difference for x in limits]
    by_strength = f"lambda {', '.join(f'{x.strength:g}' for x in limits)}"
    shrinks = all(b.distance / a.distance < 2 * a.strength / b.strength for a, b in pairwise(limits))
    return [
        Finding(
            check="A4",
            what=what,
            bound=bound,
            measured=", ".join(f"{value:.1e}" for value in values),
            holds=holds,
            seeds=f"data seed {DATA_SEED}, initialisation 0",
            simulated="trained",
        )
        for what, bound, values, holds in (
            (
                f"soft sharing, SGD, lambda eta = {LAMBDA_ETA:g}: distance of the networks at {by_strength}",
                "falls as 1 / lambda, within a factor of 2",
                distances,
                shrinks,
            ),
            (
                f"its scores against hard sharing at eta / 2, at {by_strength}",
                f"falls, to at most {CLOSE:g} deviations of the label",
                differences,
                differences[-1] <= CLOSE and differences == sorted(differences, reverse=True),
            ),
        )
    ]


def a5(lab: Lab) -> list[Finding]:
    """Check that hard sharing with weight 0 of the other task is the single-task model of the main one."""
    pair = (arm("single-task"), arm("hard-sharing", second=0.0))
    what = "hard sharing with weight 0 of second and single-task, equal steps, first alone in the criterion"
    return [_equal("A5", what, lab, pair, EQUAL_STEPS, "score_best", tasks=("first",))]


def _equal(
    check: str,
    what: str,
    lab: Lab,
    pair: tuple[Arm, Arm],
    training: TrainingSettings,
    which: str,
    tasks: Sequence[str] = ("first", "second"),
) -> Finding:
    """Bound the largest difference of the two arms' test scores, over tasks, rows and seeds."""
    with drawn(DATA, DATA_SEED, lab.home) as (home, prepared):
        results = results_of(home, prepared, pair, training, SEEDS)
        difference = largest_difference(results[: len(SEEDS)], results[len(SEEDS) :], which, tasks)
    return Finding(
        check=check,
        what=what,
        bound=f"scores differ by at most {EQUAL:g}",
        measured=f"{difference:.1e}",
        holds=difference <= EQUAL,
        seeds=WHERE,
        simulated="trained",
    )


def largest_difference(
    ones: Sequence[Result], others: Sequence[Result], which: str, tasks: Sequence[str]
) -> float:
    """Return the largest difference of two arms in `which` ("score" or "score_best"), in label units."""
    differences = []
    for one, other in zip(ones, others, strict=True):
        mine: Mapping[str, np.ndarray] = getattr(one.scores(), which)
        theirs: Mapping[str, np.ndarray] = getattr(other.scores(), which)
        differences += [float(np.abs(mine[task] - theirs[task]).max()) for task in tasks]
    return max(differences)


MIRRORED = Fixture(
    knobs=DATA.knobs,
    arms=(arm("single-task"), arm("hard-sharing", first=2.0)),
    training=STOPPED,
    seeds=5,
)


def a13(lab: Lab) -> list[Finding]:
    """Compare hard sharing with single-task, and vice versa: every number must be mirrored exactly."""
    with drawn(MIRRORED, DATA_SEED, lab.home) as (home, prepared):
        results = train(MIRRORED, home, prepared)
        forth = held_against(MIRRORED, results, prepared).comparisons
        back = compare(results, prepared.schema, Family(baseline=MIRRORED.arms[1].method)).comparisons
    unlike = [
        f"{one.task.name} {name}"
        for one, other in zip(forth, back, strict=True)
        for name, (mine, theirs) in mirror(one, other).items()
        if mine != theirs
    ]
    verdicts = ", ".join(
        f"{a.judgement.verdict}/{b.judgement.verdict}" for a, b in zip(forth, back, strict=True)
    )
    return [
        Finding(
            check="A13",
            what="single-task and hard sharing swapped: gains, intervals and verdicts are mirrored",
            bound="exactly",
            measured=f"{', '.join(unlike) or 'all'} {'differ' if unlike else 'equal'}; {verdicts}",
            holds=not unlike,
            seeds=f"data seed {DATA_SEED}, training seeds 0-{MIRRORED.seeds - 1}",
            simulated="trained",
        )
    ]


def mirror(one: TaskComparison, other: TaskComparison) -> dict[str, tuple[object, object]]:
    """Return what must be equal in two comparisons whose arms are swapped: name -> the two values."""
    a, b = one.judgement, other.judgement
    odd = {"gain": (one.gain, -other.gain), "verdict": (a.verdict, SWAPPED.get(b.verdict, b.verdict))}
    for name in ("interval", "adjusted_interval"):
        low, high = getattr(b, name)
        odd[name] = (getattr(a, name), (-high, -low))
    same = ("df", "p_value", "adjusted_p_value", "material", "equivalent", "minimum_detectable_effect")
    even = {name: (getattr(a, name), getattr(b, name)) for name in same}
    return {**odd, **even, "se": (one.measured.estimate.se, other.measured.estimate.se)}
