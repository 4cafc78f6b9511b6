"""SplitMix64: a stable, vectorised hash of integers, so that a draw depends only on its key.

Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 13 (with
the constants of Vigna's splitmix64.c). Unlike the hashes of Polars or Python it never changes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GAMMA, _FIRST, _SECOND = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def splitmix64(x: ArrayLike) -> NDArray[np.uint64]:
    """Return the first output of SplitMix64 seeded with each entry of `x` (integers, taken modulo 2^64)."""
    z = np.atleast_1d(np.asarray(x)).astype(np.uint64) + _GAMMA  # array arithmetic wraps without a warning
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def keyed(*parts: ArrayLike) -> NDArray[np.uint64]:
    """Hash several integers (or aligned arrays of them) to one value; their order matters."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        state = splitmix64(state ^ np.atleast_1d(np.asarray(part)).astype(np.uint64))
    return state


def below(hashes: NDArray[np.uint64], sizes: NDArray[np.int64] | Sequence[int]) -> NDArray[np.int64]:
    """Map each hash to 0 .. size-1; sizes are below 2^32, so the bias is below size / 2^32."""
    scaled = (hashes >> np.uint64(32)) * np.asarray(sizes).astype(np.uint64)
    return (scaled >> np.uint64(32)).astype(np.int64)
