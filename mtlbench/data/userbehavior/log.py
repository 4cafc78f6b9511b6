"""Reading a log: malformed, out-of-window and duplicate rows are counted and dropped.

The log may be larger than memory. Polars streams it once, to Parquet files of one day each; then one day at
a time is in memory. Ids become codes, their rank among all ids of the log. A cleaned day is a sorted file of
one 64-bit key per event.

Each raw format has a parser that returns `Rows`; the rest is the same for all formats.
"""

import errno
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.archive import check_text
from mtlbench.data.recipe import Reporting
from mtlbench.data.userbehavior.days import NO_CATEGORY, Days
from mtlbench.data.userbehavior.keys import Codes, Key, check_size
from mtlbench.data.userbehavior.raw import LARGEST_ID, check_malformed, parse
from mtlbench.data.userbehavior.window import DAY, Window
from mtlbench.errors import DataError

SCRATCH = 0.6
"""Scratch bytes on disk per byte of the log while it is read: compressed days, and 8 bytes per event."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """A parsed raw log.

    Attributes:
        name: name of the file, for messages.
        frame: the well-formed rows, read once: user, item, category (null where unknown) below
            LARGEST_ID; behaviour, UInt8 index into the window's; time, Int64 seconds since its start.
        rows: number of rows of the file.
        malformed: number of rows that are not in `frame`.
        malformed_lines: numbers of the first ten malformed lines, counted from 1.
        quirks: counts of other oddities.
    """

    name: str
    frame: pl.LazyFrame
    rows: int
    malformed: int = 0
    malformed_lines: tuple[int, ...] = ()
    quirks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Events:
    """Events as aligned columns, ordered by (user, time, item, behaviour).

    Attributes:
        user, item: codes into the log's ids.
        behaviour: index into the window's.
        time: seconds since the window's start.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    behaviour: NDArray[np.int64]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Events":
        """Return the chosen rows."""
        return Events(self.user[rows], self.item[rows], self.behaviour[rows], self.time[rows])


@dataclass(frozen=True, slots=True)
class Log:
    """A cleaned log.

    Attributes:
        folder: folder of the days.
        key: key format of the events.
        users, items, categories: the ids, ascending; a code is a position here.
        category: category code of each item code.
        quirks: name -> count of an oddity.
        malformed_lines: numbers of the first ten malformed lines, counted from 1.
    """

    window: Window
    folder: Path
    key: Key
    users: Ints
    items: Ints
    categories: Ints
    category: Ints
    quirks: Mapping[str, int]
    malformed_lines: tuple[int, ...]

    def day(self, day: int) -> Events:
        """Return the events of one day of the window, counted from 0."""
        user, second, item, behaviour = self.key.unpack(np.load(_file(self.folder, day)))
        return Events(user, item, behaviour, second + day * DAY)


def read_log(csv: Path, window: Window, work: Path, says: Reporting) -> Log:
    """Clean a log in UserBehavior's format, leaving its events in the folder `work`.

    Raises:
        DataError: the log is packed, empty, more than 0.1 % malformed, or has no row inside the window.
    """
    check_text(csv, says.command)
    _check_space(csv, work, says)
    says.progress("read", 0, 0)
    days = Days.of(parse(csv, window), window, work)
    lines = check_malformed(csv, window, days, says.command)
    return _cleaned(days, Rows(csv.name, pl.LazyFrame(), days.rows, days.malformed, lines), window, says)


def clean(rows: Rows, window: Window, work: Path, says: Reporting) -> Log:
    """Drop rows that are duplicates or outside the window; leave the events in the folder `work`.

    Raises:
        DataError: no row is inside the window.
    """
    says.progress("read", 0, 0)
    return _cleaned(Days.of(rows.frame, window, work), rows, window, says)


def _cleaned(days: Days, rows: Rows, window: Window, says: Reporting) -> Log:
    """Turn the raw rows of each day into sorted events."""
    inside = days.rows - days.malformed - days.outside
    if not inside:
        raise DataError(
            f"{rows.name}: no row lies within {window}, Unix seconds {window.start} .. "
            f"{window.start + window.seconds - 1}; its times are {days.low + window.start} .. "
            f"{days.high + window.start}. They must be Unix seconds of those days. "
            f"Give another log: {says.command}"
        )
    users, items = (days.ids(name, window.days) for name in ("user", "item"))
    check_size(len(users), len(items), window)
    user_code, item_code = Codes(users), Codes(items)
    of_item = _first_categories(days, item_code, len(items), window)
    categories = np.unique(of_item)

    key = Key(len(users), len(items), len(window.behaviours))
    several = np.zeros(len(items), bool)
    kept = 0
    for day in range(window.days):
        says.progress("sort", day, window.days)
        user, item, category, behaviour, time = days.read(
            day, "user", "item", "category", "behaviour", "time"
        )
        item = item_code(item)
        several[item[(category != of_item[item]) & (category != NO_CATEGORY)]] = True
        keys = key.pack(user_code(user), time - day * DAY, item, behaviour)
        keys.sort()
        keys = keys[np.diff(keys, prepend=-1) != 0]
        np.save(_file(days.folder.parent, day), keys)
        kept += len(keys)
    says.progress("sort", window.days, window.days)
    shutil.rmtree(days.folder)
    return Log(
        window=window,
        folder=days.folder.parent,
        key=key,
        users=users,
        items=items,
        categories=categories,
        category=np.searchsorted(categories, of_item),
        quirks={
            "rows": rows.rows,
            "malformed_rows": rows.malformed,
            "rows_outside_window": days.outside,
            "items_in_several_categories": int(several.sum()),
            "duplicate_rows": inside - kept,
            **rows.quirks,
        },
        malformed_lines=rows.malformed_lines,
    )


def _first_categories(days: Days, code: Codes, items: int, window: Window) -> Ints:
    """Return each item's category id at its earliest event that has one; the lowest id of that second."""
    nothing = np.iinfo(np.int64).max
    found = np.full(items, NO_CATEGORY)
    for day in range(window.days):
        item, category, time = days.read(day, "item", "category", "time")
        known = category != NO_CATEGORY
        first = np.full(items, nothing)  # second of the day and category, of the earliest event
        np.minimum.at(first, code(item[known]), (time[known] - day * DAY) * LARGEST_ID + category[known])
        found = np.where((found == NO_CATEGORY) & (first != nothing), first % LARGEST_ID, found)
    return found


def _file(folder: Path, day: int) -> Path:
    return folder / f"day-{day}.npy"


def _check_space(csv: Path, work: Path, says: Reporting) -> None:
    """Report the disk space that reading takes; raise if there is not enough."""
    size = csv.stat().st_size
    need, free = int(size * SCRATCH), shutil.disk_usage(work).free
    says.report(f"Reading {csv.name}, {size / 1e6:,.0f} MB; about {need / 1e6:,.0f} MB on disk meanwhile.")
    if need > free:
        raise OSError(
            errno.ENOSPC, f"reading {csv.name} needs about {need / 1e6:,.0f} MB, {free / 1e6:,.0f} are free"
        )
