"""Ids to codes, and events to sortable integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.userbehavior.window import DAY

Ints = NDArray[np.int64]

LARGEST_TABLE = 2**26
"""Ids below it are looked up in a table, of 4 bytes an id."""


@dataclass(frozen=True, slots=True)
class Key:
    """An event of a day as one integer that sorts by (user, second, item, behaviour).

    Attributes:
        users, items, behaviours: how many codes there are.
    """

    users: int
    items: int
    behaviours: int

    def __post_init__(self) -> None:
        """Refuse what 63 bits do not hold."""
        if sum(self._bits) > 63:
            raise OverflowError(f"{self.users} users and {self.items} items exceed a 64-bit key")

    @property
    def _bits(self) -> tuple[int, int, int, int]:
        return (
            self.users.bit_length(),
            DAY.bit_length(),
            self.items.bit_length(),
            self.behaviours.bit_length(),
        )

    def pack(self, user: Ints, second: Ints, item: Ints, behaviour: Ints) -> Ints:
        """Aligned columns to keys; `second` counts from midnight."""
        _, seconds, items, behaviours = self._bits
        return ((user << seconds | second) << items | item) << behaviours | behaviour

    def unpack(self, keys: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """The inverse of `pack`."""
        _, seconds, items, behaviours = self._bits
        behaviour = keys & (1 << behaviours) - 1
        rest = keys >> behaviours
        item = rest & (1 << items) - 1
        rest >>= items
        second = rest & (1 << seconds) - 1
        rest >>= seconds
        return rest, second, item, behaviour


class Codes:
    """Ids to their rank: looked up in a table where ids are small numbers, else by bisection."""

    def __init__(self, ids: Ints) -> None:
        self._ids = ids
        self._table: NDArray[np.int32] | None = None
        if ids[-1] < LARGEST_TABLE:
            self._table = np.zeros(ids[-1] + 1, np.int32)
            self._table[ids] = np.arange(len(ids), dtype=np.int32)

    def __call__(self, ids: Ints) -> Ints:
        """Codes of ids, all of which are known."""
        if self._table is None:
            return np.searchsorted(self._ids, ids)
        return self._table[ids].astype(np.int64)
