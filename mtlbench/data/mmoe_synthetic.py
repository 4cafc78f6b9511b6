"""MMoE's synthetic tasks: two regressions with adjustable relation; nothing to download.

Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018,
section 3.2. https://doi.org/10.1145/3219819.3220007

With orthonormal u_1, u_2 in R^d, x ~ N(0, I_d) and e_k ~ N(0, 0.01):

    w_1 = c u_1,    w_2 = c (p u_1 + sqrt(1 - p^2) u_2)
    y_k = w_k.x + sum_{i <= m} sin(a_i w_k.x + b_i) + e_k

The paper leaves a, b, c and m open; here, as in PLE (Tang et al., RecSys 2020), a, b ~ N(0, 1), c = 1 and
m = 10. 0.01 is read as the variance. PLE's d is 512; the default is smaller, so that 300 rows are enough to
learn from and training takes seconds. Adds to the paper: labels that are missing, negated, pure noise or
binary, and a planted group: rows marked by the field `group`, in which both tasks follow the same separate
function (the same sines of another direction, w_3.x) at its own scale, and in which `first` may be labelled
rarely. There sharing can help while it has no effect elsewhere.

Every random part has its own generator: changing a setting of `second` or of the group leaves the rest as it
was.
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
"""Name of the field that is 1 on rows of the planted group."""
Rows = Annotated[int, Bounds(ge=10, le=10_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSettings:
    """Settings of the synthetic tasks.

    Attributes:
        p: relation of the tasks, the cosine of w_1 and w_2.
        n_a, n_b: train rows on which `first` and `second` are defined; the smaller set is part of the larger.
        validation_rows, test_rows: number of rows; both tasks are defined on all of them.
        noise: standard deviation of e_k.
        label_flips: share of the rows, in all splits, on which the label of `second` is negated.
        noise_task: whether the labels of `second` are N(0, 1), without information.
        group_share: chance that a row belongs to the planted group; at 0 there is no group and no such field.
        group_n_a: most train rows of the group on which `first` is defined; they count in `n_a`.
        group_scale: factor of the group's labels, noise included.
        binary: whether the tasks are binary, with label 1 where y_k is above 0.
        dimensions: d, the number of inputs.
        sines: m, the number of sines.
        scale: c, the length of w_1 and w_2.
        seed: seed of everything random.
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
    """Recipe of the synthetic tasks."""

    Settings = SyntheticSettings
    simulated = True
    revision = 1

    def find(
        self, home: Home, card: Card, settings: SyntheticSettings, given: Sequence[Path]
    ) -> tuple[Path, ...]:
        """Find nothing: there are no raw files."""
        return ()

    def fetch(self, home: Home, card: Card, settings: SyntheticSettings, work: Path, says: Reporting) -> Raw:
        """Return no raw files; the rows are drawn when they are written."""
        return Raw((), truth=truth(settings))

    def build(self, raw: Raw, settings: SyntheticSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Draw and write the rows."""
        frames = {split: frame.lazy() for split, frame in simulate(settings).items()}
        return write_table(frames, schema(settings, raw.truth), work=work, out=out, says=says)


def schema(settings: SyntheticSettings, planted: Mapping[str, str]) -> Schema:
    """Return the schema: d numeric fields and perhaps `group`, two tasks, every row its own cluster."""
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
    """Return the names of the input fields."""
    return [f"x_{i}" for i in range(dimensions)]


HELPFUL = SyntheticSettings()
HARMFUL = SyntheticSettings(noise_task=True, n_a=4000)
NEUTRAL = tuple(SyntheticSettings(p=p, n_a=4000) for p in (1.0, 0.5, 0.0, -1.0))
"""Settings under which sharing has no measured effect, unlike HELPFUL and HARMFUL; numbers: see the card."""


def truth(settings: SyntheticSettings) -> dict[str, str]:
    """Return the effect of sharing one network on each task; empty where it is unknown."""
    alike = replace(settings, seed=0, validation_rows=2000, test_rows=10_000)
    if alike in NEUTRAL:
        return dict.fromkeys(TASKS, "none")
    return {"first": {HELPFUL: "helps", HARMFUL: "harms"}.get(alike, ""), "second": ""}


def simulate(settings: SyntheticSettings) -> dict[SplitName, pl.DataFrame]:
    """Draw the rows of every split: x, perhaps `group`, labels (null where not defined), the row's number."""
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
    """Return where the tasks are defined on train, (rows, 2); `member` (rows,) marks the group."""
    rows = np.arange(len(member))
    in_group = np.cumsum(member)  # number of a member within the group, from 1 on
    first = (rows < settings.n_a) & (~member | (in_group <= settings.group_n_a))
    return np.stack([first, rows < settings.n_b], axis=1)


def weights(settings: SyntheticSettings, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw w_1 and w_2, (d,) each."""
    basis, _ = np.linalg.qr(generator.normal(size=(settings.dimensions, 2)))
    one, two = settings.scale * basis.T
    return one, settings.p * one + np.sqrt(1 - settings.p**2) * two


def response(z: Floats, frequency: Floats, phase: Floats) -> Floats:
    """Compute z + sum_i sin(a_i z + b_i), (rows,), one sine at a time, since all at once may be too large."""
    total = z.copy()
    for a, b in zip(frequency, phase, strict=True):
        total += np.sin(a * z + b)
    return total


RECIPE = MMoESynthetic()
