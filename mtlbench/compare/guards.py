"""Guards: reasons to doubt a comparison, checked every time and stored with it."""

from dataclasses import dataclass

from mtlbench.compare.contrasts import Measured
from mtlbench.statistics.verdict import MIN_CLUSTERS, MIN_SEEDS

LEAST_CORRELATION = 0.1
"""Correlation below which the difference of two arms is hardly less noisy than without pairing."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One reason for doubt: a short name and a sentence."""

    guard: str
    message: str


def guards(measured: Measured, cluster: str) -> tuple[Guard, ...]:
    """Return every reason to doubt a measurement; `cluster` is what a cluster is called."""
    if measured.reason:
        return (Guard("undefined", measured.reason),)
    found, e = [], measured.estimate
    if e.seeds < MIN_SEEDS:
        found.append(Guard("few seeds", f"{e.seeds} paired, at least {MIN_SEEDS} are needed"))
    if measured.unpaired:
        found.append(
            Guard(
                "unpaired seeds",
                f"{measured.unpaired} of {measured.unpaired + e.seeds} seeds have a run of one of the two "
                "arms alone: if the other diverged, the gain is that of seeds that did not",
            )
        )
    if e.clusters < MIN_CLUSTERS:
        found.append(
            Guard("few clusters", f"{e.clusters} {cluster}s with a row, at least {MIN_CLUSTERS} are needed")
        )
    if measured.pairing.clusters < LEAST_CORRELATION:
        found.append(
            Guard(
                "pairing",
                f"the two arms' scores have little in common (correlation {measured.pairing.clusters:.2f} "
                f"over {cluster}s): pairing by seed and {cluster} gains nothing here",
            )
        )
    return tuple(found)
