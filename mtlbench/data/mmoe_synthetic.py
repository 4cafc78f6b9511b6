"""MMoE's synthetic tasks: two regressions whose relation is a knob; nothing to download.

Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018,
section 3.2. https://doi.org/10.1145/3219819.3220007

With orthonormal u_1, u_2 in R^d, x ~ N(0, I_d) and e_k ~ N(0, 0.01):

    w_1 = c u_1,    w_2 = c (p u_1 + sqrt(1 - p^2) u_2)
    y_k = w_k.x + sum_{i <= m} sin(a_i w_k.x + b_i) + e_k

The paper leaves a, b, c and m open; here, as in PLE (Tang et al., RecSys 2020), a, b ~ N(0, 1), c = 1 and
m = 10. 0.01 is read as the variance. PLE's d is 512; the default is smaller, so that 300 rows say something
and training takes seconds. Adds to the paper: labels that are missing, negated or pure noise.

Every random part has a generator of its own: what a knob of `second` changes leaves `first` as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field as Bounds

from mtlbench.data.card import Card
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.table import write_table
from mtlbench.home import Home
from mtlbench.load import SPLITS, SplitName
from mtlbench.schema import Field, Schema, Task

Floats = NDArray[np.float64]

TASKS = ("first", "second")
Rows = Annotated[int, Bounds(ge=10, le=10_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSettings:
    """The knobs.

    Attributes:
        p: relation of the tasks, the cosine of w_1 and w_2.
        n_a, n_b: train rows on which `first` and `second` are defined; the shorter is a part of the longer.
        validation_rows, test_rows: both tasks are defined on all of them.
        noise: standard deviation of e_k.
        label_flips: share of the rows, in all splits, on which the label of `second` is negated.
        noise_task: the labels of `second` are N(0, 1) and say nothing.
        dimensions: d.
        sines: m.
        scale: c.
        seed: of everything random.
    """

    p: Annotated[float, Bounds(ge=-1, le=1)] = 1.0
    n_a: Rows = 300
    n_b: Rows = 4000
    validation_rows: Rows = 2000
    test_rows: Rows = 10_000
    noise: Annotated[float, Bounds(ge=0, le=100)] = 0.1
    label_flips: Annotated[float, Bounds(ge=0, le=1)] = 0.0
    noise_task: bool = False
    dimensions: Annotated[int, Bounds(ge=2, le=10_000)] = 20
    sines: Annotated[int, Bounds(ge=0, le=1000)] = 10
    scale: Annotated[float, Bounds(gt=0, le=100)] = 1.0
    seed: Annotated[int, Bounds(ge=0)] = 0


class MMoESynthetic:
    """The recipe."""

    Settings = SyntheticSettings
    simulated = True
    revision = 1

    def find(
        self, home: Home, card: Card, settings: SyntheticSettings, given: Sequence[Path]
    ) -> tuple[Path, ...]:
        """Nothing lies anywhere."""
        return ()

    def fetch(self, home: Home, card: Card, settings: SyntheticSettings, work: Path, says: Reporting) -> Raw:
        """There are no raw files; the rows are drawn when they are written."""
        return Raw((), truth=truth(settings))

    def build(self, raw: Raw, settings: SyntheticSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Draw the rows."""
        frames = {split: frame.lazy() for split, frame in simulate(settings).items()}
        return write_table(frames, schema(settings, raw.truth), work=work, out=out, says=says)


def schema(settings: SyntheticSettings, planted: Mapping[str, str]) -> Schema:
    """d numeric fields, two regressions, every row a cluster of its own."""
    return Schema(
        fields=tuple(Field(name=name, kind="numeric", of="x") for name in names(settings.dimensions)),
        tasks=tuple(
            Task(name=task, kind="regression", truth=planted[task])  # type: ignore[arg-type]
            for task in TASKS
        ),
        cluster="row",
    )


def names(dimensions: int) -> list[str]:
    """The fields."""
    return [f"x_{i}" for i in range(dimensions)]


HELPFUL = SyntheticSettings()
HARMFUL = SyntheticSettings(noise_task=True, n_a=4000)
NEUTRAL = tuple(SyntheticSettings(p=p, n_a=4000) for p in (1.0, 0.5, 0.0, -1.0))
"""The settings whose effect was measured; the card gives the numbers."""


def truth(settings: SyntheticSettings) -> dict[str, str]:
    """What sharing one network does to each task; empty wherever nothing is planted and nobody knows."""
    alike = replace(settings, seed=0, validation_rows=2000, test_rows=10_000)
    if alike in NEUTRAL:
        return dict.fromkeys(TASKS, "none")
    return {"first": {HELPFUL: "helps", HARMFUL: "harms"}.get(alike, ""), "second": ""}


def simulate(settings: SyntheticSettings) -> dict[SplitName, pl.DataFrame]:
    """The rows of every split: x, the labels (null where not defined) and the row's number."""
    function, *of_splits = np.random.SeedSequence(settings.seed).spawn(1 + len(SPLITS))
    generator = np.random.default_rng(function)
    frequency, phase = generator.normal(size=(2, settings.sines))
    both = weights(settings, generator)
    counts = (max(settings.n_a, settings.n_b), settings.validation_rows, settings.test_rows)
    frames, start = {}, 0
    for split, count, sequence in zip(SPLITS, counts, of_splits, strict=True):
        inputs, one, two = (np.random.default_rng(s) for s in sequence.spawn(3))
        x = inputs.normal(size=(count, settings.dimensions))
        first, second = (
            response(x @ w, frequency, phase) + settings.noise * own.normal(size=count)
            for w, own in zip(both, (one, two), strict=True)
        )
        second *= np.where(two.random(count) < settings.label_flips, -1, 1)
        if settings.noise_task:
            second = two.normal(size=count)
        frame = pl.DataFrame(x, schema=names(settings.dimensions)).with_columns(
            first=first, second=second, row=np.arange(start, start + count)
        )
        if split == "train":
            defined = zip(TASKS, (settings.n_a, settings.n_b), strict=True)
            frame = frame.with_columns(pl.when(pl.col("row") < n).then(pl.col(task)) for task, n in defined)
        frames[split] = frame
        start += count
    return frames


def weights(settings: SyntheticSettings, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """w_1 and w_2, (d,) each."""
    basis, _ = np.linalg.qr(generator.normal(size=(settings.dimensions, 2)))
    one, two = settings.scale * basis.T
    return one, settings.p * one + np.sqrt(1 - settings.p**2) * two


def response(z: Floats, frequency: Floats, phase: Floats) -> Floats:
    """(rows,) z + sum_i sin(a_i z + b_i), one sine at a time: the table of all would not fit at size."""
    total = z.copy()
    for a, b in zip(frequency, phase, strict=True):
        total += np.sin(a * z + b)
    return total


RECIPE = MMoESynthetic()
