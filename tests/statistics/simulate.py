"""The crossed model itself, as the tests of error rates and power draw from it."""

import numpy as np
from numpy.typing import NDArray


def table(
    rng: np.random.Generator, clusters: int, seeds: int, s_a: float, s_b: float, s_e: float
) -> NDArray[np.float64]:
    """(clusters, seeds) contrasts of gain 0: a seed effect, a cluster effect and a residual, all normal."""
    seed = s_a * rng.standard_normal(seeds)
    cluster = s_b * rng.standard_normal((clusters, 1))
    drawn: NDArray[np.float64] = seed + cluster + s_e * rng.standard_normal((clusters, seeds))
    return drawn
