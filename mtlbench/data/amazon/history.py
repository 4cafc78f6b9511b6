"""Information known before each event, from events strictly before it.

Events of the same time (a day, in 2014 and 2018) do not see each other.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class History:
    """For each event of a log, the earlier events that share its key (its user, or its item).

    Sorted by (key, time), an event's past is one range of positions, so every sum over it is a difference of
    running sums. All results are in the log's own order.
    """

    def __init__(self, key: Ints, time: Ints) -> None:
        """Sort events with these keys, (events,) each; within one key and time, the log's order is kept."""
        self._order = np.lexsort((time, key))
        keys, self._time = key[self._order], time[self._order]
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        later = first.copy()
        later[1:] |= self._time[1:] != self._time[:-1]
        at = np.arange(len(keys))
        self._start, self._end = np.empty_like(at), np.empty_like(at)
        self._start[self._order] = np.maximum.accumulate(np.where(first, at, 0))
        self._end[self._order] = np.maximum.accumulate(np.where(later, at, 0))

    def count(self) -> Ints:
        """Return the number of earlier events."""
        return self._end - self._start

    def total(self, values: NDArray[np.generic]) -> Floats:
        """Sum the earlier events' values."""
        running = np.zeros(len(self._order) + 1)
        np.cumsum(values[self._order], out=running[1:], dtype=np.float64)
        sums: Floats = running[self._end] - running[self._start]
        return sums

    def last(self) -> Ints:
        """Return the time of the last earlier event; arbitrary if there is none."""
        return self._time[self._end - 1]

    def first(self) -> Ints:
        """Return the time of the first earlier event; arbitrary if there is none."""
        return self._time[self._start]

    def recent(self, events: slice, length: int) -> Ints:
        """Return the log positions of the last earlier events of some events.

        Returns:
            (events, length), the most recent last, -1 in front if there are fewer. Within one time, the log's
            order is kept.
        """
        at = self._end[events, None] + np.arange(-length, 0)
        positions: Ints = np.where(at >= self._start[events, None], self._order[np.maximum(at, 0)], -1)
        return positions
