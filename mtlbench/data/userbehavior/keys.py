"""Mapping ids to codes, and events to sortable integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.userbehavior.window import DAY, Window
from mtlbench.errors import DataError

Ints = NDArray[np.int64]


def check_size(users: int, items: int, window: Window) -> None:
    """Raise DataError if (user, item, second) does not fit a 64-bit key, before anything wraps."""
    if users * items * window.seconds >= 2**63:
        raise too_large(users, items)


def too_large(users: int, items: int) -> DataError:
    """Build the error for a log with too many users and items, more than twice the largest public log."""
    return DataError(
        f"The log has {users:,} users and {items:,} items; together they exceed the 64-bit keys by which "
        "rows are sorted. Give a part of the log: some of its users, with all their rows."
    )


LARGEST_TABLE = 2**26
"""Largest size of an id table, of 4 bytes per id; larger ids are found by bisection."""


@dataclass(frozen=True, slots=True)
class Key:
    """An event of a day as one integer that sorts by (user, second, item, behaviour).

    Attributes:
        users, items, behaviours: number of codes of each.
    """

    users: int
    items: int
    behaviours: int

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit into 63 bits."""
        if sum(self._bits) > 63:
            raise too_large(self.users, self.items)

    @property
    def _bits(self) -> tuple[int, int, int, int]:
        return (
            self.users.bit_length(),
            DAY.bit_length(),
            self.items.bit_length(),
            self.behaviours.bit_length(),
        )

    def pack(self, user: Ints, second: Ints, item: Ints, behaviour: Ints) -> Ints:
        """Pack aligned columns into keys; `second` counts from midnight."""
        _, seconds, items, behaviours = self._bits
        return ((user << seconds | second) << items | item) << behaviours | behaviour

    def unpack(self, keys: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Invert `pack`."""
        _, seconds, items, behaviours = self._bits
        behaviour = keys & (1 << behaviours) - 1
        rest = keys >> behaviours
        item = rest & (1 << items) - 1
        rest >>= items
        second = rest & (1 << seconds) - 1
        rest >>= seconds
        return rest, second, item, behaviour


class Codes:
    """Map from ids to their rank: by a table if ids are small numbers, else by bisection."""

    def __init__(self, ids: Ints) -> None:
        self._ids = ids
        self._table: NDArray[np.int32] | None = None
        if ids[-1] < LARGEST_TABLE:
            self._table = np.zeros(ids[-1] + 1, np.int32)
            self._table[ids] = np.arange(len(ids), dtype=np.int32)

    def __call__(self, ids: Ints) -> Ints:
        """Return the codes of ids, all of which must be known."""
        if self._table is None:
            return np.searchsorted(self._ids, ids)
        return self._table[ids].astype(np.int64)
