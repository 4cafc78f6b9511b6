"""Rows as an arm scores them, for the tests of the statistics."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """Labels of both kinds, their clusters, and the scores of two arms for several seeds."""

    label: NDArray[np.bool_]
    value: NDArray[np.float64]
    index: NDArray[np.intp]
    clusters: int
    method: list[NDArray[np.float64]]
    baseline: list[NDArray[np.float64]]


def sample(seed: int, clusters: int = 20, rows: int = 160, seeds: int = 3, decimals: int = 2) -> Sample:
    """A sample with ties, clusters of unequal size, and every cluster present."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, clusters, (2, rows - clusters)).min(axis=0)  # the first ones more often
    index = np.concatenate([np.arange(clusters), drawn])
    taste = rng.normal(size=clusters)[index]
    value = taste + rng.normal(size=rows)
    label = value > 0.7

    def scores(signal: float) -> list[NDArray[np.float64]]:
        latent = [signal * value + rng.normal(size=rows) for _ in range(seeds)]
        return [np.round(1 / (1 + np.exp(1 - x)), decimals).clip(0.01, 0.99) for x in latent]

    return Sample(label, value, index, clusters, scores(0.8), scores(0.6))
