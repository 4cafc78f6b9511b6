"""What would decide an inconclusive comparison, in words."""

from collections.abc import Mapping
from typing import Any

MOST_SEEDS = 1000
"""Largest number of seeds that is told as a number."""


def needs(comparison: Mapping[str, Any], clusters: str) -> list[str]:
    """Return two short lines for a cell of a table; none if the verdict is not INCONCLUSIVE."""
    if comparison["verdict"] != "INCONCLUSIVE":
        return []
    more_seeds, more_clusters = comparison["seeds_needed"], comparison["clusters_needed"]
    if more_seeds and more_clusters:
        return [_seeds(more_seeds), f"or {_about(more_clusters)} {clusters}"]
    if more_seeds:
        return [_seeds(more_seeds), f"({clusters} alone: none)"]
    if more_clusters:
        return [f"{_about(more_clusters)} {clusters}", "(seeds alone: none)"]
    return ["more seeds", f"and more {clusters}"]


def to_decide(comparison: Mapping[str, Any], clusters: str) -> str:
    """Return what would decide as a sentence; empty if the verdict is not INCONCLUSIVE.

    A number of seeds assumes the present clusters, a number of clusters the present seeds.
    """
    if comparison["verdict"] != "INCONCLUSIVE":
        return ""
    seeds, more_seeds, more = comparison["seeds"], comparison["seeds_needed"], comparison["clusters_needed"]
    by_clusters = f"with {seeds} seeds, about {_about(more)} {clusters}" if more else ""
    by_seeds = (
        f"with {comparison['clusters']:,} {clusters}, {_seeds(more_seeds, 'about ')}" if more_seeds else ""
    )
    if by_clusters and by_seeds:
        return f"{by_seeds}; or {by_clusters}"
    if by_clusters:
        return f"{by_clusters}; no number of seeds alone would"
    if by_seeds:
        return f"{by_seeds}; no number of {clusters} alone would"
    return f"no number of seeds alone would, nor of {clusters}: it takes more of both"


def _seeds(number: int, about: str = "") -> str:
    return f"{about}{_about(number)} seeds" if number <= MOST_SEEDS else f"over {MOST_SEEDS:,} seeds"


def _about(number: int) -> str:
    """Round up to two digits: a forecast from a few seeds is no better than that."""
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"{-(-number // unit) * unit:,}"
