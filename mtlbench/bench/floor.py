"""The minimal work of preparing a log, as a program: `python -m mtlbench.bench.floor scan FILE`.

`scan` parses the file with the types that `prepare` reads and sums the columns; `sort` parses it and sorts
the rows. Neither checks for damage or writes anything.
"""

import sys

import polars as pl

from mtlbench.data.userbehavior.window import TAOBAO

IDS = ("user", "item", "category")
ORDER = ("user", "time", "item", "behaviour")


def scan(file: str) -> pl.LazyFrame:
    """Scan the log with Polars, without checks."""
    schema = pl.Schema(
        {**dict.fromkeys(IDS, pl.Int64()), "behaviour": pl.Enum(TAOBAO.behaviours), "time": pl.Int64()}
    )
    return pl.scan_csv(file, has_header=False, schema=schema)


def main(what: str, file: str) -> None:
    """Scan or sort the file once."""
    log = scan(file)
    if what == "sort":
        log.sort(ORDER).collect(engine="streaming")  # all rows: Polars skips a sort that only feeds a count
        return
    sums = [pl.col(name).sum() for name in (*IDS, "time")]
    log.select(*sums, (pl.col("behaviour") == "pv").sum()).collect(engine="streaming")


if __name__ == "__main__":
    main(*sys.argv[1:])
