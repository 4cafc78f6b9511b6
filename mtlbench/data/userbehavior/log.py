"""Reading a log: what is malformed, out of the window or double is counted and dropped.

The log may be larger than memory, so Polars streams it to one Parquet file of events a day; ids become
codes, their rank among all ids of the log.

Each raw format has a parser that gives `Rows`; what follows is the same for all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.recipe import Reporting
from mtlbench.data.userbehavior.window import DAY, Window
from mtlbench.errors import DataError

COLUMNS = "user,item,category,behaviour,unix seconds"
MOST_MALFORMED = 0.001
LARGEST_ID = 2**40
"""Ids lie below it, so that (second, category) fits one 64-bit key."""
NO_CATEGORY = -1
"""Id of the category of all items whose category nobody knows."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a parser makes of a raw log.

    Attributes:
        name: of the file, for messages.
        frame: the well-formed rows, cheap to scan again: user, item, category (null where unknown) below
            LARGEST_ID; behaviour, UInt8 index into the window's; time, Int64 seconds since its start.
        rows: of the file.
        malformed: how many of them are not in `frame`.
        malformed_lines: numbers of the first ten of those, counted from 1.
        quirks: what else was odd.
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
        """The chosen rows."""
        return Events(self.user[rows], self.item[rows], self.behaviour[rows], self.time[rows])


@dataclass(frozen=True, slots=True)
class Log:
    """A cleaned log.

    Attributes:
        users, items, categories: the ids, ascending; a code is a position here.
        category: of each item code, the category code.
        quirks: name -> count of what was odd.
        malformed_lines: numbers of the first ten malformed lines, counted from 1.
    """

    window: Window
    folder: Path
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    categories: NDArray[np.int64]
    category: NDArray[np.int64]
    quirks: Mapping[str, int]
    malformed_lines: tuple[int, ...]

    def day(self, day: int) -> Events:
        """The events of one day of the window, counted from 0."""
        columns = pl.read_parquet(self.folder / f"day-{day}.parquet").to_dict()
        return Events(**{name: column.to_numpy().astype(np.int64) for name, column in columns.items()})


def read_log(csv: Path, window: Window, work: Path, says: Reporting) -> Log:
    """Clean a log in UserBehavior's format, leaving its events in the folder `work`.

    Raises:
        DataError: empty, more than 0.1 % malformed, or nothing inside the window.
    """
    parsed = work / "rows.parquet"
    says.progress("read", 0, 0)
    _parse(csv, window).sink_parquet(parsed, compression="zstd", compression_level=1)
    scan = pl.scan_parquet(parsed)
    valid = pl.col("time").is_not_null()
    counts = scan.select(rows=pl.len(), malformed=(~valid).sum()).collect(engine="streaming")
    rows, malformed = (int(n) for n in counts.row(0))
    lines = _check_malformed(csv, scan.filter(~valid), rows, malformed, says.command)
    log = clean(Rows(csv.name, scan.filter(valid).drop("line"), rows, malformed, lines), window, work, says)
    parsed.unlink()
    return log


def clean(rows: Rows, window: Window, work: Path, says: Reporting) -> Log:
    """Drop what is out of the window or double; leave the events in the folder `work`.

    Raises:
        DataError: nothing inside the window.
    """
    inside = pl.col("time").is_between(0, window.seconds - 1)
    times = rows.frame.select(outside=(~inside).sum(), low=pl.min("time"), high=pl.max("time"))
    outside, low, high = times.collect(engine="streaming").row(0)
    well_formed = rows.rows - rows.malformed
    if outside == well_formed:
        raise DataError(
            f"{rows.name}: no row lies within {window}, Unix seconds {window.start} .. "
            f"{window.start + window.seconds - 1}; its times are "
            + (f"{low + window.start} .. {high + window.start}" if well_formed else "none")
            + f". Its times must be of those days. Give another log: {says.command}"
        )

    events = rows.frame.filter(inside)
    first = (pl.col("time") * LARGEST_ID + pl.col("category")).min() % LARGEST_ID
    several = pl.col("category").min() != pl.col("category").max()
    items = (
        events.group_by("item")
        .agg(category=first.fill_null(NO_CATEGORY), several=several)
        .sort("item")
        .collect(engine="streaming")
    )
    users = events.select(pl.col("user").unique()).collect(engine="streaming")["user"].sort()
    categories = items["category"].unique().sort()
    codes = {
        "user": pl.DataFrame({"user": users}).with_row_index("user_code"),
        "item": items.select("item").with_row_index("item_code"),
    }
    says.progress("sort", 0, window.days)
    kept = 0
    for day in range(window.days):
        today = events.filter(pl.col("time").is_between(day * DAY, (day + 1) * DAY - 1)).unique()
        for name, frame in codes.items():
            today = today.join(frame.lazy(), on=name)
        sorted_day = (
            today.select(
                pl.col("user_code").alias("user"), pl.col("item_code").alias("item"), "behaviour", "time"
            )
            .cast({"time": pl.Int32})
            .sort("user", "time", "item", "behaviour")
            .collect(engine="streaming")
        )
        sorted_day.write_parquet(work / f"day-{day}.parquet")
        kept += len(sorted_day)
        says.progress("sort", day + 1, window.days)
    return Log(
        window=window,
        folder=work,
        users=users.to_numpy(),
        items=items["item"].to_numpy(),
        categories=categories.to_numpy(),
        category=np.searchsorted(categories.to_numpy(), items["category"].to_numpy()),
        quirks={
            "rows": rows.rows,
            "malformed_rows": rows.malformed,
            "rows_outside_window": int(outside),
            "items_in_several_categories": int(items["several"].sum()),
            "duplicate_rows": well_formed - int(outside) - kept,
            **rows.quirks,
        },
        malformed_lines=rows.malformed_lines,
    )


def _parse(csv: Path, window: Window) -> pl.LazyFrame:
    """One row a line; `time` (seconds since the window's start) is null where the line is malformed."""
    ids = ("user", "item", "category")
    lines = pl.scan_csv(
        csv,
        has_header=False,
        # A sixth column catches lines with too many fields (an empty one is forgiven); too few end in nulls.
        schema={**dict.fromkeys(ids, pl.Int64), "behaviour": pl.String, "time": pl.Int64, "rest": pl.String},
        missing_columns="insert",
        extra_columns="ignore",
        truncate_ragged_lines=True,
        ignore_errors=True,
        quote_char=None,
        encoding="utf8-lossy",
        row_index_name="line",
        row_index_offset=1,
        glob=False,
    )
    code = pl.lit(None, dtype=pl.UInt8)
    for index, name in enumerate(window.behaviours):
        code = pl.when(pl.col("behaviour") == name).then(pl.lit(index, dtype=pl.UInt8)).otherwise(code)
    well_formed = pl.all_horizontal(
        *(pl.col(c).is_between(0, LARGEST_ID - 1).fill_null(False) for c in ids),
        pl.col("behaviour").is_in(window.behaviours).fill_null(False),
        pl.col("time").is_not_null(),
        pl.col("rest").is_null(),
    )
    time = pl.when(well_formed).then(pl.col("time") - window.start)
    return lines.select("line", *ids, behaviour=code, time=time)


def _check_malformed(
    csv: Path, malformed: pl.LazyFrame, rows: int, count: int, command: str
) -> tuple[int, ...]:
    """Line numbers of the first ten malformed rows, or an error where they are too many."""
    if rows == 0:
        raise DataError(
            f"{csv.name} is empty; it should hold rows of {COLUMNS}. Get the file again, then: {command}"
        )
    if not count:
        return ()
    found = malformed.select(pl.col("line").bottom_k(10).sort()).collect(engine="streaming")["line"]
    lines = tuple(int(n) for n in found)
    if count > MOST_MALFORMED * rows:
        with csv.open(encoding="utf-8", errors="replace") as stream:
            text = next(islice(stream, lines[0] - 1, None), "").rstrip("\r\n")
        columns = text.count(",") + 1
        raise DataError(
            f"{csv.name}: {count:,} of {rows:,} rows are malformed (more than "
            f"0.1 %). Wanted: 5 columns, {COLUMNS}, no header. First malformed lines: "
            f"{', '.join(map(str, lines))}; line {lines[0]} has {columns} column{'s' * (columns != 1)}: "
            f"{text[:80]!r}. Mend the file, or give another: {command}"
        )
    return lines
