"""UserBehavior's own format: `user,item,category,behaviour,unix seconds`, no header."""

from itertools import islice
from pathlib import Path

import polars as pl

from mtlbench.data.userbehavior.days import Days
from mtlbench.data.userbehavior.window import Window
from mtlbench.errors import DataError

COLUMNS = "user,item,category,behaviour,unix seconds"
MOST_MALFORMED = 0.001
LARGEST_ID = 2**40
"""Upper bound of ids, so that (second of a day, category) fits one 64-bit key."""


def parse(csv: Path, window: Window) -> pl.LazyFrame:
    """Parse one row per line; `time` (seconds since the window's start) is null if the line is malformed."""
    ids = ("user", "item", "category")
    lines = pl.scan_csv(
        csv,
        has_header=False,
        # A sixth column catches lines with too many fields (an empty one is tolerated); too few end in nulls.
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


def check_malformed(csv: Path, window: Window, days: Days, command: str) -> tuple[int, ...]:
    """Return the line numbers of the first ten malformed rows; raise an error if there are too many."""
    if days.rows == 0:
        raise DataError(
            f"{csv.name} is empty; it should hold rows of {COLUMNS}. Get the file again, then: {command}"
        )
    if not days.malformed:
        return ()
    malformed = parse(csv, window).filter(pl.col("time").is_null())  # read again: this is rare
    found = malformed.select(pl.col("line").bottom_k(10).sort()).collect(engine="streaming")["line"]
    lines = tuple(int(n) for n in found)
    if days.malformed > MOST_MALFORMED * days.rows:
        with csv.open(encoding="utf-8", errors="replace") as stream:
            text = next(islice(stream, lines[0] - 1, None), "").rstrip("\r\n")
        columns = text.count(",") + 1
        raise DataError(
            f"{csv.name}: {days.malformed:,} of {days.rows:,} rows are malformed (more than "
            f"0.1 %). Wanted: 5 columns, {COLUMNS}, no header. First malformed lines: "
            f"{', '.join(map(str, lines))}; line {lines[0]} has {columns} column{'s' * (columns != 1)}: "
            f"{text[:80]!r}. Mend the file, or give another: {command}"
        )
    return lines
