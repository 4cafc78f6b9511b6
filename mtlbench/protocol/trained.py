"""A6, A7, A8, A9: fixtures of known truth, trained for real and compared; no score is simulated.

The validation takes as many replicates of a fixture as `Scale` says, each a fresh data set with fresh test
rows, trained with ten seeds. In the full validation, a rate that must be "at least" something must be reached
over all replicates; in the quick one, the calls must be as many as it still explains (`fewest_calls`).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import ceil

import numpy as np

from mtlbench.protocol.check import Finding, Lab, Scale, fewest_calls, most_calls, share
from mtlbench.protocol.fixtures import LOSS, NEUTRAL, NOISE, POSITIVE, SEESAW, Fixture, Replicate, replicate
from mtlbench.statistics.verdict import Verdict

ALPHA = 0.05
LEAST_EFFECT = 6.0
"""Size that the true effect of a fixture of A6 must exceed, in standard errors of its verdict."""
TRAINED = "trained"
REPLICATES = Scale(60, 6)
OF_EACH_NEUTRAL = Scale(20, 3)
POSITIVE_RATE = 0.80
NEGATIVE_RATE = 0.95
SEESAW_RATE = 0.80


def a6(lab: Lab) -> list[Finding]:
    """Check that a known gain is called POSITIVE, a known large loss NEGATIVE; never the other way round.

    This tests the verdict only if the effects exist: they must exceed `LEAST_EFFECT`.
    """
    return [
        *_known(lab, "first of 300 rows with second of 4000", POSITIVE, Verdict.POSITIVE, POSITIVE_RATE),
        *_known(lab, "first with pure noise of weight 30", LOSS, Verdict.NEGATIVE, NEGATIVE_RATE),
    ]


def _known(lab: Lab, what: str, fixture: Fixture, verdict: Verdict, rate: float) -> list[Finding]:
    """Return three findings: called what it is, never called the opposite, and large enough in truth."""
    opposite = Verdict.POSITIVE if verdict is Verdict.NEGATIVE else Verdict.NEGATIVE
    done = replicates(lab, fixture, REPLICATES)
    called = [one.of("first").verdict for one in done]
    wrong = called.count(opposite)
    right = at_least(lab, "A6", f"{what}: {verdict}", fixture, called.count(verdict), rate, size(done))
    never = Finding(
        check="A6",
        what=f"{what}: {opposite}",
        bound="never",
        measured=share(wrong, len(called)),
        holds=wrong == 0,
        seeds=right.seeds,
        simulated=TRAINED,
    )
    effect = in_errors(done) * (1 if verdict is Verdict.POSITIVE else -1)
    large = Finding(
        check="A6",
        what=f"{what}: size of the true {'gain' if verdict is Verdict.POSITIVE else 'loss'}",
        bound=f"above {LEAST_EFFECT:g} SE",
        measured=f"{effect:.1f} SE",
        holds=effect > LEAST_EFFECT,
        seeds=right.seeds,
        simulated=TRAINED,
    )
    return [right, never, large]


def a7_trained(lab: Lab) -> list[Finding]:
    """Count NEGATIVE after Holm, and material calls, where sharing gains next to nothing and does no harm.

    Two programs trained for real on one train set cannot have a gain of exactly 0, unless they are one
    program (A1): with ample rows of one function behind both tasks, sharing gained up to .003 of R2 on the
    data seeds of the tuning (.02 on one in twelve), which ten seeds often detect. So POSITIVE is no error
    here. Calls of harm, and calls beyond the fixture's delta, must stay as rare as alpha says.
    """
    done = [one for fixture in NEUTRAL for one in replicates(lab, fixture, OF_EACH_NEUTRAL)]
    calls = {
        "NEGATIVE": sum(any(c.verdict is Verdict.NEGATIVE for c in one.calls) for one in done),
        "a material call": sum(any(c.material for c in one.calls) for one in done),
    }
    most = most_calls(len(done), ALPHA)
    return [
        Finding(
            check="A7",
            what=f"sharing that is worth next to nothing, either of two tasks after Holm: {what}",
            bound=f"at most {most} of {len(done)}",
            measured=f"{share(number, len(done))}; {size(done)}",
            holds=number <= most,
            seeds=", ".join(seeds(fixture, OF_EACH_NEUTRAL.of(lab.quick)) for fixture in NEUTRAL),
            simulated=TRAINED,
        )
        for what, number in calls.items()
    ]


def a8(lab: Lab) -> list[Finding]:
    """Check that `first` is called NEGATIVE more often the more the loss of a noise task weighs."""
    done = replicates(lab, NOISE, REPLICATES)
    weights = [arm.balancer_options["weights"]["second"] for arm in NOISE.arms[1:]]
    negatives = [
        sum(one.of("first", arm).verdict is Verdict.NEGATIVE for one in done)
        for arm in range(1, len(NOISE.arms))
    ]
    rates = [f"weight {w:g}: {share(n, len(done))}" for w, n in zip(weights, negatives, strict=True)]
    return [
        Finding(
            check="A8",
            what="first with pure noise, by the weight of the noise: NEGATIVE",
            bound="grows with the weight",
            measured=", ".join(rates),
            holds=all(a <= b for a, b in pairwise(negatives)) and negatives[0] < negatives[-1],
            seeds=seeds(NOISE, len(done)),
            simulated=TRAINED,
        )
    ]


def a9(lab: Lab) -> list[Finding]:
    """Check that a gain of `first` at the cost of `second` is called SEESAW; the reverse does not count."""
    done = replicates(lab, SEESAW, REPLICATES)
    calls = sum(_as_planted(one) for one in done)
    sizes = f"first {size(done)}, second {size(done, 'second')}"
    what = "first of 300 rows and double weight gains, second of 4000 pays: SEESAW"
    return [at_least(lab, "A9", what, SEESAW, calls, SEESAW_RATE, sizes)]


def _as_planted(one: Replicate) -> bool:
    """Return whether the arm is called SEESAW with the planted signs."""
    signs = one.of("first").verdict, one.of("second").verdict
    return 1 in one.seesaws and signs == (Verdict.POSITIVE, Verdict.NEGATIVE)


def replicates(lab: Lab, fixture: Fixture, scale: Scale) -> list[Replicate]:
    """Run as many replicates of a fixture as the scale says, in the order of their data seeds."""
    drawn = range(fixture.data_seed, fixture.data_seed + scale.of(lab.quick))
    return list(lab.map(partial(replicate, fixture, lab.home), drawn))


def size(done: Sequence[Replicate], task: str = "first") -> str:
    """Format the fixture's true effect: mean gain over replicates, also in median standard errors."""
    gain = np.mean([one.of(task).estimate.gain for one in done])
    return f"gain {gain:+.4f} = {in_errors(done, task):+.1f} SE"


def in_errors(done: Sequence[Replicate], task: str = "first") -> float:
    """Return the fixture's true effect in standard errors."""
    estimates = [one.of(task).estimate for one in done]
    return float(np.mean([e.gain for e in estimates]) / np.median([e.se for e in estimates]))


def at_least(
    lab: Lab,
    check: str,
    what: str,
    fixture: Fixture,
    calls: int,
    rate: float,
    more: str,
    scale: Scale = REPLICATES,
) -> Finding:
    """Return the finding that something is called at least at `rate`."""
    number = scale.of(lab.quick)
    fewest = fewest_calls(number, rate) if lab.quick else ceil(rate * number - 1e-9)
    return Finding(
        check=check,
        what=what,
        bound=f"at least {fewest} of {number}",
        measured=f"{share(calls, number)}; {more}",
        holds=calls >= fewest,
        seeds=seeds(fixture, number),
        simulated=TRAINED,
    )


def seeds(fixture: Fixture, number: int) -> str:
    """Describe the seeds of `number` replicates of a fixture."""
    last = fixture.data_seed + number - 1
    return f"data seeds {fixture.data_seed}-{last}, training seeds 0-{fixture.seeds - 1}"
