"""Seeds: one seed of a run means several generators, each keyed by what it is for.

Keying by purpose, not by order of use, keeps runs paired: two methods of the same seed see the same rows
in the same order, however many numbers either draws for its own weights.
"""

from hashlib import blake2b

import torch


def key(seed: int, *purpose: object) -> int:
    """A 63-bit seed for `purpose` under the run's `seed`; stable over versions and machines."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator for `purpose`; drawn on the CPU so that a GPU sees the same numbers."""
    return torch.Generator().manual_seed(key(seed, *purpose))
