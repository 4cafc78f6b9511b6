"""MMoE's synthetic tasks: two regressions whose relation is a knob; nothing to download.

Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018,
section 3.2. https://doi.org/10.1145/3219819.3220007

With orthonormal u_1, u_2 in R^d, x ~ N(0, I_d) and e_k ~ N(0, 0.01):

    w_1 = c u_1,    w_2 = c (p u_1 + sqrt(1 - p^2) u_2)
    y_k = w_k.x + sum_{i <= m} sin(a_i w_k.x + b_i) + e_k

The paper leaves a, b, c and m open; here, as in PLE (Tang et al., RecSys 2020), a, b ~ N(0, 1), c = 1 and
m = 10. 0.01 is read as the variance. PLE's d is 512; the default is smaller, so that 300 rows say something
and training takes seconds. Adds to the paper: labels that are missing, negated, pure noise or binary, and a
planted group: rows marked by the field `group`, in which both tasks follow one function of its own (the
same sines of another direction, w_3.x) at a scale of its own, and in which `first` may be labelled rarely.
There sharing can help while it does nothing elsewhere.

Every random part has a generator of its own: what a knob of `second` or of the group changes leaves the rest
as it was.
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
from mtlbench.schema import Field, Schema, Task, TaskKind

Floats = NDArray[np.float64]

TASKS = ("first", "second")
GROUP = "group"
"""The field that marks the planted group by 1."""
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
        group_share: chance that a row belongs to the planted group; at 0 there is none, and no such field.
        group_n_a: train rows of the group on which `first` is defined, at most; they count in `n_a`.
        group_scale: factor of the group's labels, noise included.
        binary: the labels are whether y_k is above 0, and the tasks binary.
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
    group_share: Annotated[float, Bounds(ge=0, le=1)] = 0.0
    group_n_a: Annotated[int, Bounds(ge=0)] = 0
    group_scale: Annotated[float, Bounds(gt=0, le=100)] = 1.0
    binary: bool = False
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
    """d numeric fields and perhaps `group`, two tasks, every row a cluster of its own."""
    fields = tuple(Field(name=name, kind="numeric", of="x") for name in names(settings.dimensions))
    if settings.group_share:
        fields += (Field(name=GROUP, kind="numeric", of=GROUP),)
    kind: TaskKind = "binary" if settings.binary else "regression"
    return Schema(
        fields=fields,
        tasks=tuple(
            Task(name=task, kind=kind, truth=planted[task])  # type: ignore[arg-type]
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
    """The rows of every split: x, perhaps `group`, the labels (null where not defined), the row's number."""
    function, *of_splits, of_group = np.random.SeedSequence(settings.seed).spawn(2 + len(SPLITS))
    generator = np.random.default_rng(function)
    sines = generator.normal(size=(2, settings.sines))
    both = weights(settings, generator)
    group, _ = weights(settings, np.random.default_rng(of_group))
    counts = (max(settings.n_a, settings.n_b), settings.validation_rows, settings.test_rows)
    frames, start = {}, 0
    for split, count, sequence in zip(SPLITS, counts, of_splits, strict=True):
        inputs, one, two, groups = (np.random.default_rng(s) for s in sequence.spawn(4))
        x = inputs.normal(size=(count, settings.dimensions))
        member = groups.random(count) < settings.group_share
        unit = np.where(member, settings.group_scale, 1.0)
        first, second = (
            unit
            * (response(np.where(member, x @ group, x @ w), *sines) + settings.noise * own.normal(size=count))
            for w, own in zip(both, (one, two), strict=True)
        )
        second *= np.where(two.random(count) < settings.label_flips, -1, 1)
        if settings.noise_task:
            second = two.normal(size=count)
        labels = np.stack([first, second], axis=1)
        if settings.binary:
            labels = (labels > 0).astype(np.float64)
        if split == "train":
            labels[~labelled(settings, member)] = np.nan
        frame = pl.DataFrame(x, schema=names(settings.dimensions)).with_columns(
            *([pl.Series(GROUP, member.astype(np.float64))] if settings.group_share else []),
            *(pl.Series(task, labels[:, k], nan_to_null=True) for k, task in enumerate(TASKS)),
            row=np.arange(start, start + count),
        )
        frames[split] = frame
        start += count
    return frames


def labelled(settings: SyntheticSettings, member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows, 2) Where the tasks are defined on train; `member` (rows,) says who is in the group."""
    rows = np.arange(len(member))
    in_group = np.cumsum(member)  # of a member: which one it is, from 1 on
    first = (rows < settings.n_a) & (~member | (in_group <= settings.group_n_a))
    return np.stack([first, rows < settings.n_b], axis=1)


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
