"""A15: the minimum detectable effect that is printed, compared with the effect that is detected."""

from collections.abc import Sequence
from math import inf, isnan
from statistics import median

import numpy as np

from mtlbench.protocol import crossed
from mtlbench.protocol.check import Finding, Lab
from mtlbench.protocol.crossed import ALPHA, Estimator, Judged, chunks
from mtlbench.protocol.families import COMPONENTS, USERS, FamilyTask
from mtlbench.protocol.model import ScoreModel, Shares, draw_estimates
from mtlbench.statistics.power import POWER
from mtlbench.statistics.variance import two_way
from mtlbench.statistics.verdict import judge

TOLERANCE = 0.25
MODELS = tuple(
    ScoreModel(seeds=seeds, seed=seed, user=user)
    for seeds in (5, 10)
    for seed, user in ((0.1, 0.1), (0.03, 0.3))
)
"""Settings of comparisons that are a family of their own."""
SIZE = 12
"""Size of the families whose first member is examined."""
SHARES = (Shares(0.8, 0.1, 0.1), Shares(0.45, 0.45, 0.1), Shares(0.1, 0.8, 0.1))


def a15(lab: Lab, estimator: Estimator = two_way) -> list[Finding]:
    """Compare the minimum detectable effect that is printed with the one that is called 80 times in 100."""
    findings = []
    for model, judged in crossed.replicates(lab, 15, MODELS, estimator):
        findings.append(_effect(f"alone, {crossed.words(model)}", judged, crossed.SIMULATED))
    settings = [(seeds, shares) for seeds in (5, 10) for shares in SHARES]
    parts = list(chunks(crossed.REPLICATES.of(lab.quick), crossed.CHUNK.of(lab.quick)))
    tasks = [
        FamilyTask((15, 100 + i), *setting, chunk) for i, setting in enumerate(settings) for chunk in parts
    ]
    done = lab.map(judge_families, tasks)
    for seeds, shares in settings:
        judged = [one for _ in parts for one in next(done)]
        findings.append(_effect(f"one of {SIZE}, {seeds} seeds, {shares}", judged, COMPONENTS))
    return findings


def judge_families(task: FamilyTask) -> list[Judged]:
    """Return the judged first member of each of some families of 12."""
    judged = []
    for replicate in task.pools:
        rng = np.random.default_rng((*task.key, replicate))
        family = draw_estimates(task.shares, task.seeds, USERS, SIZE, rng)
        judged.append(Judged(family[0], judge(family, [0.001] * len(family), alpha=ALPHA)[0]))
    return judged


def detected_effect(judged: Sequence[Judged]) -> float:
    """Return the gain that would have been called, with its sign, in 80 % of replicates of true gain 0.

    A true gain g only shifts the estimate, so a replicate calls it if its interval at level 1 - alpha/M,
    shifted by g, lies above 0: if g exceeds minus the interval's lower end.
    """
    return float(np.quantile([-one.judgement.adjusted_interval[0] for one in judged], POWER))


def _effect(what: str, judged: Sequence[Judged], simulated: str) -> Finding:
    printed = [one.judgement.minimum_detectable_effect for one in judged]
    ratio = median(inf if isnan(effect) else effect for effect in printed) / detected_effect(judged)
    return Finding(
        check="A15",
        what=f"median printed minimum detectable effect, against what is called 80 % of the time: {what}",
        bound=f"within {100 * TOLERANCE:g} %",
        measured=f"{100 * (ratio - 1):+.1f} %",
        holds=abs(ratio - 1) <= TOLERANCE,
        seeds=f"replicates 0-{len(judged) - 1}",
        simulated=simulated,
    )
