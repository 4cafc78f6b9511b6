"""Fixtures: small data sets of known truth, and the verdict that each should get.

All are simulated by `mmoe-synthetic` (`mtlbench.data.mmoe_synthetic`), so that any number of fresh data sets
can be drawn; all are trained for real through the ordinary pipeline: prepare, plan, train, compare.

The knobs and the training settings were tuned on data seeds 1-20, until the true effect of each positive or
negative fixture exceeded 6 standard errors of its verdict; the bounds of the protocol were not touched. The
validation draws its data seeds from `FIRST_DATA_SEED` on, which were not looked at before.
Networks have one hidden layer of 32, some thousand weights, so that ten seeds of both arms take seconds.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mtlbench.compare import Comparison, compare
from mtlbench.config import Arm, Benchmark, Family, TrainingSettings
from mtlbench.errors import DataError
from mtlbench.experiment.grid import plan
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.prepare import prepare
from mtlbench.results import Result
from mtlbench.runs.execute import execute
from mtlbench.statistics.variance import Estimate
from mtlbench.statistics.verdict import Verdict

FIRST_DATA_SEED = 1000
DATASET = "mmoe-synthetic"
NETWORK: Mapping[str, Any] = {"network": [32], "tower": [], "norm": "none"}
TRAINING = TrainingSettings(
    epochs=20, batch_rows=256, learning_rate=1e-2, evaluations_per_epoch=1, patience=8
)


def arm(method: str, **weights: float) -> Arm:
    """Return a method with the small network, and static weights of the tasks' losses if any are given."""
    if not weights:
        return Arm(method=method, method_options=NETWORK)
    return Arm(
        method=method, method_options=NETWORK, balancer="static", balancer_options={"weights": weights}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """A data set, its arms, and how they are trained.

    Attributes:
        knobs: settings of the data set, except its seed.
        arms: the arms; the first is the baseline.
        training: training settings of all arms.
        seeds: number of training seeds, counted from 0.
        tasks: tasks of the family; all tasks if empty.
        delta: smallest effect of interest, in the unit of the metric; that of the metric unless given.
        data_seed: data seed of the first replicate in the validation.
    """

    knobs: Mapping[str, object]
    arms: tuple[Arm, ...] = (arm("single-task"), arm("hard-sharing"))
    training: TrainingSettings = TRAINING
    seeds: int = 10
    tasks: tuple[str, ...] = ()
    delta: float | None = None
    data_seed: int = FIRST_DATA_SEED


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What one task of one arm was called in one replicate."""

    arm: int
    task: str
    verdict: Verdict
    material: bool
    equivalent: bool
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Replicate:
    """One data set of a fixture, trained and compared.

    Attributes:
        calls: one for each task of each arm but the baseline (arms are numbered from 1).
        seesaws: numbers of the arms that are called SEESAW.
    """

    calls: tuple[Called, ...]
    seesaws: tuple[int, ...]

    def of(self, task: str, arm: int = 1) -> Called:
        """Return what that task of that arm was called."""
        (called,) = (c for c in self.calls if (c.arm, c.task) == (arm, task))
        return called


AMPLE: Mapping[str, object] = {"p": 1.0, "n_a": 4000, "n_b": 4000}

POSITIVE = Fixture(knobs={"p": 1.0, "n_a": 300, "n_b": 4000})
"""Known gain of `first`, 10 standard errors: it has 300 rows; `second`, the same function, has 4000."""

LOSS = Fixture(
    knobs={**AMPLE, "noise_task": True},
    arms=(arm("single-task"), arm("hard-sharing", second=30.0)),
    tasks=("first",),
    data_seed=1100,
)
"""Known loss of `first`, 12 standard errors: `second` is pure noise of weight 30."""

NOISE = replace(
    LOSS,
    arms=(arm("single-task"), *(arm("hard-sharing", second=w) for w in (0.01, 0.1, 1.0, 30.0))),
    data_seed=1200,
)
"""`LOSS` with `second` at four weights."""

SEESAW = replace(POSITIVE, arms=(arm("single-task"), arm("hard-sharing", first=2.0)), data_seed=1300)
"""As `POSITIVE`, but the few rows of `first` weigh double, at the cost of `second`."""

NEUTRAL_KNOBS: tuple[Mapping[str, object], ...] = ({}, {"label_flips": 1.0})
NEUTRAL = tuple(
    Fixture(knobs={**AMPLE, **knobs, "test_rows": 1000}, delta=0.02, data_seed=1400 + 20 * i)
    for i, knobs in enumerate(NEUTRAL_KNOBS)
)
"""Ample rows of one function, labels as they are or negated: sharing gains some .0005 of R2, no harm."""

PLANTED = Fixture(
    knobs={
        "sines": 0,
        "noise": 0.7,
        "dimensions": 5,
        "p": 0.85,
        "n_a": 16_000,
        "n_b": 64_000,
        "test_rows": 12_000,
        "group_share": 0.01,
        "group_n_a": 20,
    },
    training=replace(TRAINING, epochs=4, learning_rate=3e-2),
    seeds=20,
    tasks=("first",),
    delta=0.02,
    data_seed=1900,
)
"""Gain in a group: one row in a hundred follows its own function, with 20 labels of `first`, all of `second`.

All functions are linear and the rest has ample rows: sharing costs it some .001, far below delta. Standard
errors come mostly from the training seeds, in the group as in the pool: the gain is hidden in the pool by the
group's small share of the rows, and visible in the group thanks to the many labels of `second`.
"""


@contextmanager
def drawn(fixture: Fixture, data_seed: int, home: Home) -> Iterator[tuple[Home, Prepared]]:
    """Yield the fixture's data set of that seed, prepared in a temporary folder below `home`."""
    home.root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"data-{data_seed}-", dir=home.root))
    try:
        inner = Home(folder)
        yield inner, prepare(inner, DATASET, options={**fixture.knobs, "seed": data_seed})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def results_of(
    home: Home, prepared: Prepared, arms: tuple[Arm, ...], training: TrainingSettings, seeds: tuple[int, ...]
) -> list[Result]:
    """Train all seeds of each arm as one stack, and return what was stored, arm by arm.

    Raises:
        DataError: a run failed.
    """
    benchmark = Benchmark(run=arms, seeds=seeds, training=training)
    results = []
    for specs in plan(benchmark, prepared.schema, prepared.fingerprint):
        cpu = torch.device("cpu")
        for outcome in execute(home, prepared.name, specs, cpu, lambda rows: None, stacked=True, again=True):
            if outcome.result is None:
                raise DataError(f"{outcome.spec.method}, seed {outcome.spec.seed}: {outcome.reason}")
            results.append(outcome.result)
    return results


def train(fixture: Fixture, home: Home, prepared: Prepared) -> list[Result]:
    """Train all runs of a fixture on its prepared data."""
    return results_of(home, prepared, fixture.arms, fixture.training, tuple(range(fixture.seeds)))


def held_against(fixture: Fixture, results: list[Result], prepared: Prepared) -> Comparison:
    """Compare the fixture's arms with its baseline."""
    return compare(
        results,
        prepared.schema,
        Family(tasks=fixture.tasks, delta=fixture.delta, baseline=fixture.arms[0].method),
    )


def read(comparison: Comparison) -> Replicate:
    """Extract what is kept of a comparison when its data are deleted."""
    names = [summary.arm for summary in comparison.summaries]
    calls = tuple(
        Called(
            arm=1 + names.index(c.arm),
            task=c.task.name,
            verdict=c.judgement.verdict,
            material=c.judgement.material,
            equivalent=c.judgement.equivalent,
            estimate=c.measured.estimate,
        )
        for c in comparison.comparisons
    )
    return Replicate(calls, tuple(1 + i for i, s in enumerate(comparison.summaries) if s.seesaw))


def replicate(fixture: Fixture, home: Home, data_seed: int) -> Replicate:
    """Draw the fixture's data of that seed, train its arms, and compare them."""
    with drawn(fixture, data_seed, home) as (inner, prepared):
        return read(held_against(fixture, train(fixture, inner, prepared), prepared))
