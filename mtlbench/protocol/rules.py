"""Which rule may call a difference? Competing rules on tables of the crossed model without a difference.

    d[u, s] = a_s + b_u + e_us,    S seeds, U users

The rules, each two-sided at a nominal 5 %:

* user bootstrap, one seed pair: percentile interval of mean_u d[u, 1] over resampled users, the usual test in
  papers on click-through rates;
* * user bootstrap, seed mean: the same for the users' means over seeds;
* paired t over seeds: t test on the S seeds' gains;
* Wilcoxon over seeds: exact signed-rank test on the S seeds' gains;
* crossed bootstrap: percentile interval of the grand mean, seeds and users resampled independently;
* variance components: `mtlbench.statistics.variance`, with df = S - 1, with Satterthwaite's df, and with the
  one that the verdict uses for a family of one (the smaller of the two below 10 seeds, else Satterthwaite's).

The protocol's choice of test rests on this; `validate-protocol --rules` writes it to `results/protocol/`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_1samp, wilcoxon

from mtlbench.protocol.check import Lab, Scale
from mtlbench.statistics.variance import interval, two_way
from mtlbench.statistics.verdict import adjusted_df

Array = NDArray[Any]

REPLICATES = Scale(4000, 400)
CHUNK = 100
"""Replicates per item; they share the bootstrap's draws."""
RESAMPLES = 999
ALPHA = 0.05
EFFECT = 3.0
"""Gain at which power is computed, in true standard errors."""

ONE_PAIR, SEED_MEAN, PAIRED, WILCOXON, CROSSED, CAUTIOUS, SATTERTHWAITE, VERDICT = RULES = (
    "user bootstrap, one seed pair",
    "user bootstrap, seed mean",
    "paired t over seeds",
    "Wilcoxon over seeds",
    "crossed seed x user bootstrap",
    "variance components, df = S - 1",
    "variance components, Satterthwaite df",
    "variance components, as the verdict uses them",
)
SEEDS = (3, 5, 10)
USERS = (100, 500)
SEED_SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)
"""Seeds' share of the variance of the mean that seeds and users cause; 1: A/A, 0: only users differ."""
RESIDUAL = 0.1
"""The residual's share of the variance of the mean."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One mixture of noise, scaled so that the grand mean has variance 1."""

    seeds: int
    users: int
    seed_share: float

    def __str__(self) -> str:
        mixture = {0.0: "only users differ (zero mean)", 1.0: "only seeds differ (A/A)"}.get(
            self.seed_share, f"seeds make {self.seed_share:.0%} of the noise"
        )
        return f"{self.seeds} seeds, {self.users} users, {mixture}"

    def draw(self, number: int, rng: np.random.Generator) -> Array:
        """Draw (replicate, user, seed) tables of gain 0."""
        seed = np.sqrt((1 - RESIDUAL) * self.seed_share * self.seeds)
        user = np.sqrt((1 - RESIDUAL) * (1 - self.seed_share) * self.users)
        residual = np.sqrt(RESIDUAL * self.seeds * self.users)
        tables = residual * rng.standard_normal((number, self.users, self.seeds))
        tables += seed * rng.standard_normal((number, 1, self.seeds))
        tables += user * rng.standard_normal((number, self.users, 1))
        return np.asarray(tables)


SETTINGS = tuple(Setting(*values) for values in product(SEEDS, USERS, SEED_SHARES))


class Item(NamedTuple):
    """Some replicates of one setting."""

    number: int
    setting: Setting
    chunk: int


class Calls(NamedTuple):
    """Rule -> number of an item's replicates that it calls."""

    without_effect: dict[str, int]
    with_effect: dict[str, int]


def items(quick: bool) -> int:
    """Return how many items `simulate` works on."""
    return len(SETTINGS) * (REPLICATES.of(quick) // CHUNK)


def simulate(lab: Lab) -> list[dict[str, Any]]:
    """Simulate the false-positive rate of every rule in every setting, and its power at `EFFECT`."""
    chunks = range(REPLICATES.of(lab.quick) // CHUNK)
    done = lab.map(calls, [Item(i, setting, chunk) for i, setting in enumerate(SETTINGS) for chunk in chunks])
    return [row for setting in SETTINGS for row in _rates(setting, [next(done) for _ in chunks])]


def _rates(setting: Setting, found: Sequence[Calls]) -> Iterator[dict[str, Any]]:
    """Yield one row per rule."""
    replicates = CHUNK * len(found)
    for rule in RULES:
        rate = sum(one.without_effect[rule] for one in found) / replicates
        yield {
            "rule": rule,
            "setting": str(setting),
            "seeds": setting.seeds,
            "users": setting.users,
            "seed_share": setting.seed_share,
            "replicates": replicates,
            "false_positive_rate": rate,
            "standard_error": (rate * (1 - rate) / replicates) ** 0.5,
            "power": sum(one.with_effect[rule] for one in found) / replicates,
        }


def calls(item: Item) -> Calls:
    """Apply every rule to the tables of one item, as they are and with an effect added."""
    rng = np.random.default_rng((item.number, item.chunk))
    tables = item.setting.draw(CHUNK, rng)
    seed_gains, bounds = tables.mean(axis=1), intervals(tables, rng)

    def called(effect: float) -> dict[str, int]:
        hits = {rule: (low + effect > 0) | (high + effect < 0) for rule, (low, high) in bounds.items()}
        hits[WILCOXON] = wilcoxon(seed_gains + effect, axis=1, method="exact").pvalue <= ALPHA
        return {rule: int(np.count_nonzero(hits[rule])) for rule in RULES}

    return Calls(called(0.0), called(EFFECT))


def intervals(tables: Array, rng: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Return rule -> ends of its 95 % interval, (replicate,) each, for the rules that have one.

    All intervals move with the gain, so an effect need not be simulated anew.
    """
    _, users, seeds = tables.shape
    user_weights = rng.multinomial(users, np.full(users, 1 / users), RESAMPLES) / users
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    resampled = np.tensordot(user_weights, tables, axes=(1, 1))  # (resample, replicate, seed)
    estimates = [two_way(table) for table in tables]
    return {
        ONE_PAIR: _percentiles(resampled[:, :, 0]),
        SEED_MEAN: _percentiles(resampled.mean(axis=2)),
        PAIRED: tuple(ttest_1samp(tables.mean(axis=1), 0.0, axis=1).confidence_interval(1 - ALPHA)),
        CROSSED: _percentiles(np.einsum("krs,ks->kr", resampled, seed_weights)),
        CAUTIOUS: _ends([interval(e, e.seeds - 1, ALPHA) for e in estimates]),
        SATTERTHWAITE: _ends([interval(e, e.df, ALPHA) for e in estimates]),
        VERDICT: _ends([interval(e, adjusted_df(e.df, e.seeds, ALPHA), ALPHA) for e in estimates]),
    }


def _percentiles(drawn: Array) -> tuple[Array, Array]:
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return low, high


def _ends(pairs: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    low, high = np.array(pairs).T
    return low, high
