"""A2: whole families of comparisons without any effect, over a grid of mixtures of noise.

A million tables are not drawn cell by cell: `draw_estimates` draws their components, which is equivalent.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtlbench.protocol.check import Finding, Lab, Scale, most_calls, share
from mtlbench.protocol.crossed import ALPHA, chunks
from mtlbench.protocol.model import Shares, draw_estimates
from mtlbench.statistics.multiplicity import holm
from mtlbench.statistics.variance import Estimate, p_value
from mtlbench.statistics.verdict import adjusted_df

LARGEST_RATE = 0.06
POOLS = Scale(10_000, 1000)
"""Number of pools of 40 comparisons, for each number of seeds and mixture of noise."""
CHUNK = Scale(1000, 250)
"""Pools per item."""
SIZES = (4, 12, 40)
SEED_TO_USER = (0.0, 1 / 16, 1 / 4, 1.0, 4.0, 16.0, inf)
"""Variance of the mean due to seeds over that due to users; infinite: users do not matter (A/A)."""
RESIDUAL = (0.05, 0.5)
"""The residual's share of the variance of the mean."""
USERS = 200
COMPONENTS = "variance components drawn under the crossed model"


class FamilyTask(NamedTuple):
    """One item: some pools (A2) or families (A15) of comparisons whose true gain is 0."""

    key: tuple[int, int]
    seeds: int
    shares: Shares
    pools: range


def a2(lab: Lab) -> list[Finding]:
    """Count families of true gain 0 with any call after Holm, at the worst mixture of noise."""
    grid = [_shares(ratio, residual) for ratio, residual in product(SEED_TO_USER, RESIDUAL)]
    parts = list(chunks(POOLS.of(lab.quick), CHUNK.of(lab.quick)))
    settings = [(seeds, shares) for seeds in (5, 10) for shares in grid]
    tasks = [FamilyTask((2, i), *setting, chunk) for i, setting in enumerate(settings) for chunk in parts]
    done = lab.map(families_with_calls, tasks)
    found = {setting: np.sum([next(done) for _ in parts], axis=0) for setting in settings}
    return [
        _worst_family(
            seeds, size, {s: counts[i] for (n, s), counts in found.items() if n == seeds}, lab.quick
        )
        for seeds in (5, 10)
        for i, size in enumerate(SIZES)
    ]


def _shares(seed_to_user: float, residual: float) -> Shares:
    """Return shares that sum to 1."""
    seed = 1.0 if seed_to_user == inf else seed_to_user / (1 + seed_to_user)
    return Shares(seed * (1 - residual), (1 - seed) * (1 - residual), residual)


def families_with_calls(task: FamilyTask) -> NDArray[np.int64]:
    """Return (size, 2): families with any call, and all families; a pool of 40 holds ten families of 4."""
    counts = np.zeros((len(SIZES), 2), np.int64)
    pool = max(SIZES)
    for replicate in task.pools:
        rng = np.random.default_rng((*task.key, replicate))
        estimates = draw_estimates(task.shares, task.seeds, USERS, pool, rng)
        for i, size in enumerate(SIZES):
            for start in range(0, pool - size + 1, size):
                counts[i] += any_call(estimates[start : start + size]), 1
    return counts


def any_call(family: Sequence[Estimate]) -> bool:
    """Return whether `judge` calls any member, without its search for the seeds needed."""
    p_values = [p_value(e, adjusted_df(e.df, e.seeds, ALPHA / len(family))) for e in family]
    return bool(holm(p_values).min() <= ALPHA)


def _worst_family(seeds: int, size: int, found: Mapping[Shares, NDArray[np.int64]], quick: bool) -> Finding:
    """Find the variance shares under which families of one size are called most often.

    With the full number of families the standard error is at most .24 points and the bound is taken as it is;
    the quick validation may exceed it by as much as luck explains.
    """
    worst = max(found, key=lambda shares: found[shares][0] / found[shares][1])
    calls, families = (int(count) for count in found[worst])
    most = most_calls(families, LARGEST_RATE) if quick else int(LARGEST_RATE * families)
    return Finding(
        check="A2",
        what=f"family of {size}, {seeds} seeds, no effect: any call; worst of {len(found)} mixtures of noise",
        bound=f"at most {most:,} of {families:,} ({100 * LARGEST_RATE:g} %{', and luck' * quick})",
        measured=f"{share(calls, families)}, at seeds : users : residual = {worst}",
        holds=calls <= most,
        seeds=f"pools 0-{families // (max(SIZES) // size) - 1} of 40 comparisons",
        simulated=COMPONENTS,
    )
