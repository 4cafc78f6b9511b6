"""Seeds: from the one seed of a run come several generators, each keyed by its purpose.

Keying by purpose, not by order of use, keeps runs paired: two methods of the same seed see the same rows
in the same order, however many numbers either draws for its own weights.
"""

from hashlib import blake2b

import torch


def key(seed: int, *purpose: object) -> int:
    """Return a 63-bit seed for `purpose` under the run's `seed`; stable across versions and machines."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """Return a generator for `purpose`, on the CPU so that a GPU sees the same numbers."""
    return torch.Generator().manual_seed(key(seed, *purpose))
