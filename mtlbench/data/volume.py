"""Simulated logs of any length, to test sizes: UserBehavior's format, shape and quirks, no planted effects.

The only structure is a little taste: a user prefers a few categories. Rows look like the real log's:
users in blocks, in the order of their ids as texts, and each user's events in order of time; shares of the
behaviours; a daily rhythm and a busier last weekend; items that are viewed again; rows outside the window,
and duplicates. The catalogue is always complete, so that a short log is like the head of the real file: most
of its items occur once.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.recipe import Reporting
from mtlbench.data.shop import DAILY, HOURLY
from mtlbench.data.userbehavior.window import DAY, TAOBAO
from mtlbench.errors import DataError

Ints = NDArray[np.int64]

EVENTS_A_USER = 101.4
ACTIVITY = 1.3
"""Shape of the gamma distribution of users' activity."""
ITEMS, CATEGORIES = 4_200_000, 9_439
SHARES = np.array([0.896, 0.055, 0.029, 0.020])
AGAIN = np.array([0.20, 0.80, 0.80, 0.80])
"""Chance of each behaviour to repeat an item of the user's last events."""
LOOK_BACK = 8
FAVOURITES, FAVOURED = 14, 0.85
"""Number of categories that a user prefers, and share of events within them."""
CATEGORY_TAIL, ITEM_TAIL = 0.95, 0.70
"""Exponents of the power laws of category sizes and of popularity within a category; the second below 1."""
OUTSIDE, DOUBLED = 571e-6, 50e-6
"""Share of rows outside the window, and of rows that repeat the row before."""
EARLIEST = 75 * DAY
"""Longest time of a row before the window, in seconds."""
USERS_A_BLOCK = 20_000
PREFIX = "simulated-"
"""Prefix of these logs' names, by which datasets prepared from them are labelled simulated."""
BYTES_A_ROW = 40


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items in order of category; within a category, the most popular first.

    Attributes:
        item: ids of the items.
        start: (categories + 1,) start of each category's items.
        category: ids of the categories.
    """

    item: Ints
    start: Ints
    category: Ints

    @classmethod
    def of(cls, generator: np.random.Generator) -> "Catalogue":
        """Draw all items, in categories whose sizes follow a power law."""
        size = (np.arange(CATEGORIES) + 1.0) ** -CATEGORY_TAIL
        start = np.round(np.concatenate([[0.0], np.cumsum(size)]) / size.sum() * ITEMS).astype(np.int64)
        ids = generator.permutation(ITEMS * 5 // 4)[:ITEMS] + 1
        return cls(ids, start, generator.permutation(CATEGORIES * 500)[:CATEGORIES] + 1)


def write_volume(events: int, seed: int, path: Path, says: Reporting) -> None:
    """Write a log of exactly `events` rows; equal arguments give equal bytes.

    Raises:
        DataError: the disk has no room for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    need = events * BYTES_A_ROW
    if need > free:
        raise DataError(
            f"{events:,} events need about {need / 1e6:,.0f} MB, {free / 1e6:,.0f} are free. Ask for fewer "
            "(--events N), or set MTLBENCH_HOME to a folder on a larger disk."
        )
    scratch = path.with_name(f".{path.name}-{os.getpid()}")
    done = 0
    try:
        with scratch.open("wb") as stream:
            for block in blocks(events, seed):
                block.write_csv(stream, include_header=False)
                done += len(block)
                says.progress("simulate", done, events)
        scratch.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(f"No space left for {path}. Nothing was left behind.") from error
        raise
    finally:
        scratch.unlink(missing_ok=True)


def blocks(events: int, seed: int) -> Iterator[pl.DataFrame]:
    """Yield the rows, some users at a time: user, item, category, behaviour, Unix seconds."""
    generator = np.random.default_rng(seed)
    catalogue = Catalogue.of(generator)
    users = max(1, min(events, round(events / EVENTS_A_USER)))
    weight = generator.gamma(ACTIVITY, size=users)
    counts = 1 + generator.multinomial(events - users, weight / weight.sum())
    ids = np.sort(np.arange(1, users + 1).astype(str)).astype(np.int64)
    for number, first in enumerate(range(0, users, USERS_A_BLOCK)):
        some = slice(first, first + USERS_A_BLOCK)
        yield _block(ids[some], counts[some], catalogue, np.random.default_rng([seed, number]))


def _block(ids: Ints, counts: Ints, catalogue: Catalogue, generator: np.random.Generator) -> pl.DataFrame:
    """Draw all events of some users, in order."""
    user = np.repeat(np.arange(len(ids)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)  # row of each row's user's first event
    time = _times(user, generator)
    behaviour = np.searchsorted(np.cumsum(SHARES[:-1]), generator.random(len(user)), side="right")
    place, category = _items(user, len(ids), catalogue, generator)

    row = np.arange(len(user))
    again = generator.random(len(user)) < AGAIN[behaviour]
    back = row - generator.integers(1, LOOK_BACK + 1, size=len(user))
    source = np.where(again & (back >= first), back, row)
    double = np.flatnonzero((generator.random(len(user)) < DOUBLED) & (row > first))
    source[double] = source[double - 1]
    time[double], behaviour[double] = time[double - 1], behaviour[double - 1]
    return pl.DataFrame(
        {
            "user": ids[user],
            "item": catalogue.item[place[source]],
            "category": catalogue.category[category[source]],
            "behaviour": pl.Series(behaviour.astype(np.uint8)).cat.to(pl.Enum(TAOBAO.behaviours)),
            "time": time + TAOBAO.start,
        }
    )


def _times(user: Ints, generator: np.random.Generator) -> Ints:
    """Draw times, in seconds since the window's start, ascending within a user."""
    rows = len(user)
    traffic = np.outer(DAILY, HOURLY).ravel()
    hour = np.searchsorted(np.cumsum(traffic)[:-1] / traffic.sum(), generator.random(rows), side="right")
    seconds = hour * 3600 + generator.integers(3600, size=rows)
    outside = np.flatnonzero(generator.random(rows) < OUTSIDE)
    seconds[outside] = -1 - generator.integers(EARLIEST, size=len(outside))
    key = user << 24 | seconds + EARLIEST
    key.sort()
    return (key & (1 << 24) - 1) - EARLIEST


def _items(user: Ints, users: int, catalogue: Catalogue, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw a new item for each row: its position in the catalogue, and its category."""

    def some_category(size: tuple[int, ...]) -> Ints:
        """Draw categories in proportion to their number of items."""
        return np.searchsorted(catalogue.start, generator.integers(ITEMS, size=size), side="right") - 1

    favourites = some_category((users, FAVOURITES))
    which = (FAVOURITES * generator.random(len(user)) ** 2).astype(np.int64)  # the first ones more often
    favoured = generator.random(len(user)) < FAVOURED
    category = np.where(favoured, favourites[user, which], some_category((len(user),)))
    low = catalogue.start[category]
    size = catalogue.start[category + 1] - low
    rank = size * generator.random(len(user)) ** (1 / (1 - ITEM_TAIL))  # P(rank < r) = (r / size)^(1 - tail)
    return low + rank.astype(np.int64), category
