"""A raw log split into days, so that one day at a time is in memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.userbehavior.window import DAY, Window

Ints = NDArray[np.int64]

NO_CATEGORY = -1
"""Id of the category of all items without a known category."""
NO_DAY = -1
"""Day number of rows that are malformed or outside the window."""


@dataclass(frozen=True, slots=True)
class Days:
    """Raw rows, in one folder of Parquet files per day.

    Attributes:
        rows, malformed, outside: number of rows, of malformed ones, and of those outside the window; the
            latter two have no day.
        low, high: the earliest and the latest time, 0 if there is none.
    """

    folder: Path
    rows: int
    malformed: int
    outside: int
    low: int
    high: int

    @classmethod
    def of(cls, frame: pl.LazyFrame, window: Window, work: Path) -> "Days":
        """Stream the rows to their days; a null time means malformed."""
        time = pl.col("time")
        day = pl.when(time.is_between(0, window.seconds - 1)).then(time // DAY).otherwise(NO_DAY)
        folder = work / "days"
        frame.select(
            "user",
            "item",
            pl.col("category").fill_null(NO_CATEGORY),
            "behaviour",
            "time",
            day=day.fill_null(NO_DAY).cast(pl.Int16),
        ).sink_parquet(
            pl.PartitionBy(folder, key="day", include_key=False),
            compression="zstd",
            compression_level=1,
            mkdir=True,
        )
        found = cls(folder, 0, 0, 0, 0, 0)
        if not folder.exists():
            return found
        counts = pl.scan_parquet(folder, hive_partitioning=False).select(
            rows=pl.len(), malformed=time.null_count(), low=time.min(), high=time.max()
        )
        rows, malformed, low, high = counts.collect(engine="streaming").row(0)
        dayless = found._scan(NO_DAY)
        beyond = 0 if dayless is None else dayless.select(time.count()).collect().item()
        return cls(folder, rows, malformed, beyond, low or 0, high or 0)

    def _scan(self, day: int) -> pl.LazyFrame | None:
        folder = self.folder / f"day={day}"
        return pl.scan_parquet(folder, hive_partitioning=False) if folder.exists() else None

    def read(self, day: int, *columns: str) -> tuple[Ints, ...]:
        """Read some columns of a day's rows."""
        scan = self._scan(day)
        if scan is None:
            return tuple(np.empty(0, np.int64) for _ in columns)
        frame = scan.select(columns).collect()
        return tuple(frame[name].to_numpy().astype(np.int64, copy=False) for name in columns)

    def ids(self, column: str, days: int) -> Ints:
        """Return the distinct values of a column over all days of the window, ascending."""
        inside = [self.folder / f"day={day}" for day in range(days)]
        scan = pl.scan_parquet([folder for folder in inside if folder.exists()], hive_partitioning=False)
        found = scan.select(pl.col(column).unique()).collect(engine="streaming")
        return found[column].sort().to_numpy()
