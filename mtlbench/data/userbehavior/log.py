"""Reading the log: what is malformed, out of the window or double is counted and dropped.

The log may be larger than memory, so Polars streams it to one Parquet file of events a day; ids become
codes, their rank among all ids of the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

BEHAVIOURS = ("pv", "cart", "fav", "buy")
START = 1511539200
"""2017-11-25 00:00 in UTC+8, Unix seconds: the window's first."""
DAY = 86_400
DAYS = 9
COLUMNS = "user,item,category,behaviour,unix seconds"
MOST_MALFORMED = 0.001
LARGEST_ID = 2**40
"""Ids lie below it, so that (second, category) fits one 64-bit key."""


@dataclass(frozen=True, slots=True)
class Events:
    """Events as aligned columns, ordered by (user, time, item, behaviour).

    Attributes:
        user, item: codes into the log's ids.
        behaviour: index into BEHAVIOURS.
        time: seconds since START.
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

    folder: Path
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    categories: NDArray[np.int64]
    category: NDArray[np.int64]
    quirks: Mapping[str, int]
    malformed_lines: tuple[int, ...]

    def day(self, day: int) -> Events:
        """The events of one day of the window, 0 to 8."""
        columns = pl.read_parquet(self.folder / f"day-{day}.parquet").to_dict()
        return Events(**{name: column.to_numpy().astype(np.int64) for name, column in columns.items()})


def read_log(csv: Path, work: Path, says: Reporting) -> Log:
    """Clean the log at `csv`, leaving its events in the folder `work`.

    Raises:
        DataError: empty, more than 0.1 % malformed, or nothing inside the window.
    """
    rows = work / "rows.parquet"
    says.progress("read", 0, 0)
    _parse(csv).sink_parquet(rows, compression="zstd", compression_level=1)
    scan = pl.scan_parquet(rows)
    valid = pl.col("time").is_not_null()
    inside = valid & pl.col("time").is_between(0, DAYS * DAY - 1)
    counts = scan.select(
        rows=pl.len(), malformed_rows=(~valid).sum(), rows_outside_window=(valid & ~inside).sum()
    )
    quirks = {k: int(v) for k, v in counts.collect(engine="streaming").row(0, named=True).items()}
    lines = _check_malformed(csv, scan.filter(~valid), quirks, says.command)
    if quirks["rows"] == quirks["malformed_rows"] + quirks["rows_outside_window"]:
        times = scan.select(low=pl.min("time"), high=pl.max("time")).collect(engine="streaming")
        low, high = (int(v) + START for v in times.row(0))
        raise DataError(
            f"{csv.name}: no row lies within 2017-11-25 .. 2017-12-03 (UTC+8), Unix seconds {START} .. "
            f"{START + DAYS * DAY - 1}; its times are {low} .. {high}. The fifth column must be Unix "
            f"seconds of those days. Give another log: {says.command}"
        )

    events = scan.filter(inside).drop("line")
    first = (pl.col("time") * LARGEST_ID + pl.col("category")).min() % LARGEST_ID
    several = pl.col("category").min() != pl.col("category").max()
    items = (
        events.group_by("item").agg(category=first, several=several).sort("item").collect(engine="streaming")
    )
    quirks["items_in_several_categories"] = int(items["several"].sum())
    users = events.select(pl.col("user").unique()).collect(engine="streaming")["user"].sort()
    categories = items["category"].unique().sort()
    codes = {
        "user": pl.DataFrame({"user": users}).with_row_index("user_code"),
        "item": items.select("item").with_row_index("item_code"),
    }
    says.progress("sort", 0, DAYS)
    kept = 0
    for day in range(DAYS):
        today = events.filter(pl.col("time").is_between(day * DAY, (day + 1) * DAY - 1)).unique()
        for name, frame in codes.items():
            today = today.join(frame.lazy(), on=name)
        clean = (
            today.select(
                pl.col("user_code").alias("user"), pl.col("item_code").alias("item"), "behaviour", "time"
            )
            .cast({"time": pl.Int32})
            .sort("user", "time", "item", "behaviour")
            .collect(engine="streaming")
        )
        clean.write_parquet(work / f"day-{day}.parquet")
        kept += len(clean)
        says.progress("sort", day + 1, DAYS)
    rows.unlink()
    quirks["duplicate_rows"] = (
        quirks["rows"] - quirks["malformed_rows"] - quirks["rows_outside_window"] - kept
    )
    return Log(
        folder=work,
        users=users.to_numpy(),
        items=items["item"].to_numpy(),
        categories=categories.to_numpy(),
        category=np.searchsorted(categories.to_numpy(), items["category"].to_numpy()),
        quirks=quirks,
        malformed_lines=lines,
    )


def _parse(csv: Path) -> pl.LazyFrame:
    """One row a line; `time` (seconds since START) is null where the line is malformed."""
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
    for index, name in enumerate(BEHAVIOURS):
        code = pl.when(pl.col("behaviour") == name).then(pl.lit(index, dtype=pl.UInt8)).otherwise(code)
    well_formed = pl.all_horizontal(
        *(pl.col(c).is_between(0, LARGEST_ID - 1).fill_null(False) for c in ids),
        pl.col("behaviour").is_in(BEHAVIOURS).fill_null(False),
        pl.col("time").is_not_null(),
        pl.col("rest").is_null(),
    )
    return lines.select("line", *ids, behaviour=code, time=pl.when(well_formed).then(pl.col("time") - START))


def _check_malformed(
    csv: Path, malformed: pl.LazyFrame, quirks: Mapping[str, int], command: str
) -> tuple[int, ...]:
    """Line numbers of the first ten malformed rows, or an error where they are too many."""
    if quirks["rows"] == 0:
        raise DataError(
            f"{csv.name} is empty; it should hold rows of {COLUMNS}. Get the file again, then: {command}"
        )
    if not quirks["malformed_rows"]:
        return ()
    found = malformed.select(pl.col("line").bottom_k(10).sort()).collect(engine="streaming")["line"]
    lines = tuple(int(n) for n in found)
    if quirks["malformed_rows"] > MOST_MALFORMED * quirks["rows"]:
        with csv.open(encoding="utf-8", errors="replace") as stream:
            text = next(islice(stream, lines[0] - 1, None), "").rstrip("\r\n")
        columns = text.count(",") + 1
        raise DataError(
            f"{csv.name}: {quirks['malformed_rows']:,} of {quirks['rows']:,} rows are malformed (more than "
            f"0.1 %). Wanted: 5 columns, {COLUMNS}, no header. First malformed lines: "
            f"{', '.join(map(str, lines))}; line {lines[0]} has {columns} column{'s' * (columns != 1)}: "
            f"{text[:80]!r}. Mend the file, or give another: {command}"
        )
    return lines
