"""A1, A2, A15 on trained networks: one method against itself, with disjoint training seeds.

One data set and one pool of trained networks serve all three: hard sharing, `GROUP` seeds per replicate,
dealt out to a baseline and two arms. The arms differ in nothing but their seeds, so every call is a false
one, and the spread of the gains over replicates is what the standard error claims to be. All share the test
rows.

The pool stays in the laboratory's home until the validation ends; the first check that needs it trains it.
"""

from collections.abc import Sequence
from functools import partial
from statistics import median

import numpy as np

from mtlbench.compare import Comparison, TaskComparison, compare
from mtlbench.config import Benchmark, Family, RunSpec, TrainingSettings
from mtlbench.experiment.grid import plan
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.prepare import prepare
from mtlbench.protocol.check import Finding, Lab, Scale, most_calls, share
from mtlbench.protocol.fixtures import DATASET, arm, results_of
from mtlbench.results import Result
from mtlbench.runs.store import finished
from mtlbench.statistics.power import minimum_detectable_effect
from mtlbench.statistics.verdict import Verdict

REPLICATES = Scale(40, 6)
SEEDS = 10
ARMS = 3
"""Number of arms: a baseline and two others."""
GROUP = SEEDS * ARMS
DATA_SEED = 900
ALPHA = 0.05
MDE_TOLERANCE = 0.25
KNOBS = {"n_a": 1000, "n_b": 1000, "test_rows": 2000, "validation_rows": 1000}
TRAINING = TrainingSettings(epochs=6, batch_rows=128, learning_rate=1e-2, evaluations_per_epoch=1, patience=6)
METHOD = "hard-sharing"
TASKS = ("first", "second")


def a1_trained(lab: Lab) -> list[Finding]:
    """Count two-sided calls in a family of one, task by task."""
    replicates = REPLICATES.of(lab.quick)
    comparisons = [_alone(lab, pair, task) for pair in _pool(lab) for task in TASKS]
    most = most_calls(replicates, ALPHA)
    findings = []
    for task in TASKS:
        mine = [c for c in comparisons if c.task.name == task]
        verdicts = sum(_called(c) for c in mine)
        p_values = sum(c.judgement.p_value <= ALPHA for c in mine)
        findings.append(
            Finding(
                check="A1",
                what=f"hard sharing against itself with other seeds, {task}: called different",
                bound=f"verdict and p <= .05 each at most {most} of {replicates}",
                measured=f"verdict {share(verdicts, replicates)}, p <= .05 {share(p_values, replicates)}",
                holds=max(verdicts, p_values) <= most,
                seeds=_seeds(replicates),
                simulated="trained",
            )
        )
    return findings


def a2_trained(lab: Lab) -> list[Finding]:
    """Count families of two arms and both tasks with any call after Holm."""
    replicates = REPLICATES.of(lab.quick)
    schema = _data(lab).schema
    families = [compare(_dealt(group), schema, Family(baseline="0")) for group in _pool(lab)]
    calls = sum(any(_called(c) for c in family.comparisons) for family in families)
    most = most_calls(replicates, ALPHA)
    return [
        Finding(
            check="A2",
            what="two arms and two tasks, all hard sharing with other seeds: any call after Holm",
            bound=f"at most {most} of {replicates}",
            measured=share(calls, replicates),
            holds=calls <= most,
            seeds=_seeds(replicates),
            simulated="trained",
        )
    ]


def a15_trained(lab: Lab) -> list[Finding]:
    """Compare the median printed minimum detectable effect with that of the gains' own spread.

    A gain whose distribution over replicates has standard deviation sd is called with probability .80, at the
    median degrees of freedom, from `minimum_detectable_effect(sd)` on. The sd of R replicates of two tasks is
    itself known to some 1 / sqrt(4 R) of its size; three times that is added to the tolerance if `lab.quick`.

    Each task's own ratio is bounded as well, so that an effect printed too large on one task cannot make up
    for one printed too small on the other. The sd of R gains has a relative error of 1 / sqrt(2 R) (normal
    gains, mean known); three times that is always added to the tolerance: 34 % if R is 40.
    """
    replicates = REPLICATES.of(lab.quick)
    ratios = {task: _printed_over_true([_alone(lab, g, task) for g in _pool(lab)]) for task in TASKS}
    pooled = MDE_TOLERANCE if not lab.quick else MDE_TOLERANCE + 3 / np.sqrt(4 * replicates)
    alone = MDE_TOLERANCE + 3 / np.sqrt(2 * replicates)
    both = float(np.sqrt(np.prod(list(ratios.values()))))
    return [
        _within("both tasks", both, pooled, replicates),
        *(_within(task, ratio, alone, replicates) for task, ratio in ratios.items()),
    ]


def _within(whose: str, ratio: float, tolerance: float, replicates: int) -> Finding:
    return Finding(
        check="A15",
        what=f"median printed minimum detectable effect over that of trained A/A gains' spread, {whose}",
        bound=f"within {tolerance:.0%} of 1",
        measured=f"{ratio:.2f}",
        holds=bool(1 / (1 + tolerance) <= ratio <= 1 + tolerance),
        seeds=_seeds(replicates),
        simulated="trained",
    )


def _printed_over_true(comparisons: Sequence[TaskComparison]) -> float:
    """Return printed over true minimum detectable effect; the sd is taken about 0, the true mean gain."""
    gains = np.array([c.gain for c in comparisons])
    df = median(c.judgement.adjusted_df for c in comparisons)
    true = minimum_detectable_effect(float(np.sqrt((gains**2).mean())), df, ALPHA)
    return median(c.judgement.minimum_detectable_effect for c in comparisons) / true


def _alone(lab: Lab, group: Sequence[Result], task: str) -> TaskComparison:
    """Compare the first arm of a replicate with its baseline, on one task alone."""
    dealt = [r for r in _dealt(group) if r.method != "2"]
    comparison: Comparison = compare(dealt, _data(lab).schema, Family(tasks=(task,), baseline="0"))
    return comparison.comparisons[0]


def _called(comparison: TaskComparison) -> bool:
    return comparison.judgement.verdict in (Verdict.POSITIVE, Verdict.NEGATIVE)


def _dealt(group: Sequence[Result]) -> list[Result]:
    """Deal the results of `GROUP` seeds to arms "0" (the baseline), "1", "2", with seeds counted from 0."""
    dealt = []
    for i, result in enumerate(group):
        run = {**result.data["run"], "method": str(i // SEEDS), "seed": i % SEEDS}
        dealt.append(Result(result.path, {**result.data, "run": run}))
    return dealt


def _seeds(replicates: int) -> str:
    return f"data seed {DATA_SEED}, training seeds 0-{replicates * GROUP - 1}"


def _data(lab: Lab) -> Prepared:
    """Return the data set, prepared at the first call."""
    home = Home(lab.home.root / "identical")
    if home.prepared(DATASET).exists():
        return open_prepared(home, DATASET)
    return prepare(home, DATASET, options={**KNOBS, "seed": DATA_SEED})


def _pool(lab: Lab) -> list[list[Result]]:
    """Return the results of each replicate, in the order of their seeds; trained if missing."""
    _data(lab)
    train = partial(train_group, Home(lab.home.root / "identical"))
    return list(lab.map(train, range(REPLICATES.of(lab.quick))))


def train_group(home: Home, replicate: int) -> list[Result]:
    """Train the seeds of one replicate, unless that was done before."""
    prepared = open_prepared(home, DATASET)
    seeds = tuple(range(replicate * GROUP, (replicate + 1) * GROUP))
    there = [finished(home, DATASET, spec) for spec in _specs(prepared, seeds)]
    done = [result for result in there if result is not None]
    if len(done) == len(seeds):
        return done
    return results_of(home, prepared, (arm(METHOD),), TRAINING, seeds)


def _specs(prepared: Prepared, seeds: tuple[int, ...]) -> list[RunSpec]:
    benchmark = Benchmark(run=(arm(METHOD),), seeds=seeds, training=TRAINING)
    (specs,) = plan(benchmark, prepared.schema, prepared.fingerprint)
    return specs
