"""Exposures: the items that a user touched on a day, each with K items that the user did not touch.

The log has no impressions, so negatives are drawn. Drawing them from items seen on *earlier* days leaks:
four fifths of the touched items were never seen before, so an item's past alone reveals positives (view AUC
.82 by item counts, .95 by boosted trees on the 814-user sample). If they are drawn from other users' pairs of
the *same* day, an item's chance to be a negative grows with its users of that day, as its chance to be a
positive does, and every feature of the item's past is as common among negatives as among positives.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.hashing import below, keyed
from mtlbench.data.userbehavior.log import Events, Log
from mtlbench.data.userbehavior.window import Window

Ints = NDArray[np.int64]

ROUNDS = 64
"""Rejections after which a draw lists the eligible items instead: the same odds, but slower."""


class TooFewItems(Exception):
    """The log is too small to draw negatives from; the message is a sentence without the command."""


@dataclass(frozen=True, slots=True)
class Exposures:
    """Rows of one day in contiguous groups that share user and time: a positive and its negatives.

    Attributes:
        user, time: (groups,) codes; seconds since the window's start, of the positive's first event that day.
        item: (rows,) codes, ascending within a group, so that a row's position reveals nothing.
        labels: (rows, tasks) 0 or 1.
        size: number of rows in each group.
    """

    user: NDArray[np.integer]
    item: NDArray[np.integer]
    time: NDArray[np.integer]
    labels: NDArray[np.uint8]
    size: int = 1

    def __len__(self) -> int:
        return len(self.item)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.user)

    def part(self, groups: slice) -> "Exposures":
        """Return some of the groups."""
        rows = slice(groups.start * self.size, groups.stop * self.size)
        return Exposures(self.user[groups], self.item[rows], self.time[groups], self.labels[rows], self.size)


@dataclass(frozen=True, slots=True)
class Positives:
    """One row per (user, item) pair of a day, ordered by (user, item).

    Attributes:
        viewed: whether there was a page view; the first label says whether there was any event.
    """

    user: Ints
    item: Ints
    time: Ints
    labels: NDArray[np.uint8]
    viewed: NDArray[np.bool_]


def positives(events: Events, items: int, window: Window) -> Positives:
    """Collect the pairs of a day's events, with the first event's time and the behaviours."""
    pair = events.user * items + events.item
    order = np.argsort(pair, kind="stable")  # events are in time order within a user, so within a pair
    _, start = np.unique(pair[order], return_index=True)
    done = np.bitwise_or.reduceat(1 << events.behaviour[order], start) if len(start) else start
    labels = np.stack([done >> k & 1 for k in range(len(window.behaviours))], axis=1).astype(np.uint8)
    viewed = labels[:, 0] == 1
    labels[:, 0] = 1  # the first task is any behaviour
    first = order[start]
    return Positives(events.user[first], events.item[first], events.time[first], labels, viewed)


class Pool:
    """The items of a day's distinct (user, item) pairs of all users, ordered by (category, item)."""

    def __init__(self, day: Events, category: Ints) -> None:
        items, categories = len(category), int(category.max(initial=-1)) + 1
        pair = np.sort(day.user * items + day.item)
        item = pair[np.diff(pair, prepend=-1) != 0] % items
        of, self.items = np.divmod(np.sort(category[item] * items + item), items)
        self.start: Ints = np.searchsorted(of, np.arange(categories + 1))
        fresh = np.diff(self.items, prepend=-1) != 0
        self.distinct: Ints = np.bincount(of[fresh], minlength=categories)  # items of each category


def draw(log: Log, day: int, pool: Pool, touched: Positives, negatives: int, seed: int) -> tuple[Ints, Ints]:
    """Draw the negatives of a day's positives.

    Half of a group's negatives (rounded down) come from the positive's category if it has that many
    eligible items, the rest from all. Eligible are items that the user did not touch that day.

    Returns:
        (positives, negatives) item codes, and the rows whose category offered too few.

    Raises:
        TooFewItems: other users touched fewer than `negatives` items on that day that some user did not.
    """
    items = len(log.items)
    pairs = touched.user * items + touched.item  # ascending
    of = log.category[touched.item]
    own = _counts(touched.user * len(log.categories) + of)
    left = int(pool.distinct.sum()) - _counts(touched.user)
    if len(left) and left.min() < negatives:
        worst = int(left.argmin())
        raise TooFewItems(
            f"Nothing to draw negatives from: on {log.window.date(day)} the log "
            f"({_many(len(log.users), 'user')}) has {_many(int(left[worst]), 'item')} that user "
            f"{log.users[touched.user[worst]]} did not touch, for {_many(negatives, 'negative')} a positive. "
            "Take a log with more users"
        )
    half = negatives // 2
    short = pool.distinct[of] - own < half
    key = keyed(seed, log.users[touched.user], day, log.items[touched.item])
    drawn = np.full((len(pairs), negatives), -1, np.int64)
    for slot in range(negatives):
        inside = ~short if slot < half else np.zeros_like(short)
        low = np.where(inside, pool.start[of], 0)
        size = np.where(inside, pool.start[of + 1], len(pool.items)) - low
        todo = np.arange(len(pairs))
        for attempt in range(ROUNDS):
            pick = below(keyed(key[todo], slot, attempt), size[todo])
            item = pool.items[low[todo] + pick]
            good = ~_member(touched.user[todo] * items + item, pairs)
            good &= (drawn[todo, :slot] != item[:, None]).all(axis=1)
            drawn[todo[good], slot] = item[good]
            todo = todo[~good]
            if not len(todo):
                break
        for row in todo:
            offered = pool.items[low[row] : low[row] + size[row]]
            used = _member(touched.user[row] * items + offered, pairs) | np.isin(offered, drawn[row, :slot])
            offered = offered[~used]
            drawn[row, slot] = offered[below(keyed(key[row], slot, ROUNDS), [len(offered)])[0]]
    return drawn, np.flatnonzero(short)


def exposures(touched: Positives, drawn: Ints) -> Exposures:
    """Join positives and negatives, by (user, time, the positive's item, item); codes fit 32 bits."""
    order = np.lexsort((touched.item, touched.time, touched.user))
    groups, size, tasks = len(order), 1 + drawn.shape[1], touched.labels.shape[1]
    item = np.concatenate([touched.item[:, None], drawn], axis=1)[order].astype(np.int32)
    within = np.argsort(item, axis=1)
    labels = np.zeros((groups, size, tasks), np.uint8)
    labels[np.arange(groups), np.argmin(within, axis=1)] = touched.labels[order]
    return Exposures(
        user=touched.user[order].astype(np.int32),
        item=np.take_along_axis(item, within, axis=1).ravel(),
        time=touched.time[order].astype(np.int32),
        labels=labels.reshape(-1, tasks),
        size=size,
    )


def _counts(key: Ints) -> Ints:
    """Count, for each entry, how often it occurs."""
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    counted: Ints = counts[inverse]
    return counted


def _member(values: Ints, ascending: Ints) -> NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[at] == values
    return found


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
