"""A10: a planted group is found by its stratum, while the pool of all rows stays equivalent.

This is what `mtlbench compare --by group` does, on trained networks: the field `group` marks one row in a
hundred, on which sharing helps `first`; on all others it changes next to nothing.

The pool contains a hundredth of the group's gain, which is not 0: twenty seeds often detect it, and the
verdict is then POSITIVE beside equivalent, "positive, negligible". What must hold is the equivalence, at the
fixture's own delta; how often it is the verdict itself is reported beside it.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from mtlbench.config import Family
from mtlbench.data.mmoe_synthetic import GROUP
from mtlbench.home import Home
from mtlbench.protocol.check import Finding, Lab, Scale, share
from mtlbench.protocol.fixtures import PLANTED, Called, drawn, held_against, read, train
from mtlbench.protocol.trained import at_least
from mtlbench.statistics.verdict import Verdict
from mtlbench.strata import by_stratum

REPLICATES = Scale(30, 3)
FOUND_RATE = 0.80
EQUIVALENT_RATE = 0.95


@dataclass(frozen=True, slots=True)
class Explored:
    """One replicate: what the pool was called, and the group's stratum as `compare` reports it."""

    pool: Called
    call: str | None
    gain: float
    se: float


def a10(lab: Lab) -> list[Finding]:
    """Check that the group is POSITIVE, adjusted over strata, the pool equivalent at the fixture's delta."""
    number = REPLICATES.of(lab.quick)
    drawn_seeds = range(PLANTED.data_seed, PLANTED.data_seed + number)
    done = list(lab.map(partial(explored, lab.home), drawn_seeds))
    found = sum(one.call == "EXPLORATORY POSITIVE" for one in done)
    equivalent = sum(one.pool.equivalent and not one.pool.material for one in done)
    verdict = sum(one.pool.verdict is Verdict.EQUIVALENT for one in done)
    in_group = _size([one.gain for one in done], [one.se for one in done])
    in_pool = _size([one.pool.estimate.gain for one in done], [one.pool.estimate.se for one in done])
    in_pool += f"; verdict EQUIVALENT {share(verdict, number)}"
    pool = f"the pool with the group in it: equivalent at delta {PLANTED.delta:g}"
    return [
        at_least(lab, "A10", "a planted group: POSITIVE", PLANTED, found, FOUND_RATE, in_group, REPLICATES),
        at_least(lab, "A10", pool, PLANTED, equivalent, EQUIVALENT_RATE, in_pool, REPLICATES),
    ]


def _size(gains: list[float], errors: list[float]) -> str:
    gain, se = np.mean(gains), np.median(errors)
    return f"gain {gain:+.4f} = {gain / se:+.1f} SE"


def explored(home: Home, data_seed: int) -> Explored:
    """Draw, train and compare a replicate, and explore its strata."""
    with drawn(PLANTED, data_seed, home) as (inner, prepared):
        results = train(PLANTED, inner, prepared)
        (pool,) = read(held_against(PLANTED, results, prepared)).calls
        family = Family(tasks=PLANTED.tasks, baseline=PLANTED.arms[0].method)
        strata = by_stratum(inner, results, prepared.schema, family, GROUP)
    (cell,) = (cell for cell in strata["cells"] if float(cell["stratum"]) == 1)
    return Explored(pool, cell["call"], cell["gain"], cell["se"])
