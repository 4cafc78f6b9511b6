"""Reading the four files: malformed, out-of-window and duplicate rows are counted and dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from mtlbench.data.lines import Column, Lines, header, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

START = 1_494_000_000
"""Start of the window in Unix seconds: 2017-05-06 00:00 in UTC+8."""
DAY = 86_400
DAYS = 8

Table = Literal["raw_sample", "ad_feature", "user_profile", "behavior_log"]
ID, OPTIONAL_ID = Column(pl.Int64), Column(pl.Int64, optional=True)
COLUMNS: Mapping[Table, Mapping[str, Column]] = {
    "raw_sample": {
        "user": ID,
        "time_stamp": ID,
        "adgroup_id": ID,
        "pid": Column(pl.String, optional=True),
        "nonclk": Column(pl.Int64, among=(0, 1)),
        "clk": Column(pl.Int64, among=(0, 1)),
    },
    "ad_feature": {
        "adgroup_id": ID,
        **dict.fromkeys(("cate_id", "campaign_id", "customer", "brand"), OPTIONAL_ID),
        "price": Column(pl.Float64, optional=True),
    },
    "user_profile": {
        "userid": ID,
        **dict.fromkeys(
            (
                "cms_segid",
                "cms_group_id",
                "final_gender_code",
                "age_level",
                "pvalue_level",
                "shopping_level",
                "occupation",
                "new_user_class_level",
            ),
            OPTIONAL_ID,
        ),
    },
    "behavior_log": {
        "user": ID,
        "time_stamp": ID,
        "btag": Column(pl.String, among=("pv", "ipv", "cart", "fav", "buy")),
        "cate": OPTIONAL_ID,
        "brand": OPTIONAL_ID,
    },
}
PROFILE = tuple(COLUMNS["user_profile"])[1:]


@dataclass(slots=True)
class Count:
    """Oddities so far: name -> count, and file -> numbers of its first malformed lines."""

    quirks: dict[str, int] = field(default_factory=dict)
    malformed: dict[str, list[int]] = field(default_factory=dict)

    def of(self, name: str, lines: Lines) -> None:
        """Record the counts of a file."""
        self.quirks |= {f"{name}_rows": lines.rows, f"{name}_malformed_rows": lines.malformed}
        self.malformed[name] = list(lines.first_malformed)


def arrange(files: Sequence[Path], command: str, *, log: bool) -> dict[Table, Path]:
    """Recognise the files by their header lines; the log may be missing unless `log`.

    Raises:
        DataError: a file is missing, two are of the same kind, or one cannot be recognised.
    """
    found: dict[Table, Path] = {}
    for path in files:
        names = set(header(path))
        kind = next((kind for kind, columns in COLUMNS.items() if set(columns) <= names), None)
        if kind is None and (path.suffix == ".csv" or any(table in path.name for table in COLUMNS)):
            first = ",".join(header(path))[:120]
            raise DataError(
                f"{path.name} is none of {', '.join(COLUMNS)}: its first line is {first!r}. Mend it or leave "
                f"it out: {command}"
            )
        if kind is not None and found.setdefault(kind, path) != path:
            raise DataError(f"{found[kind].name} and {path.name} are both a {kind}; give one: {command}")
    missing = [kind for kind in COLUMNS if kind not in found and (log or kind != "behavior_log")]
    if missing:
        wanted = "; ".join(f"{kind}.csv with the columns {','.join(COLUMNS[kind])}" for kind in missing)
        given = ", ".join(path.name for path in files) or "nothing"
        raise DataError(f"Missing: {wanted}. Given: {given}. Give all files: {command}")
    return found


def read_exposures(path: Path, work: Path, count: Count, says: Reporting) -> list[Path]:
    """Write a Parquet file per day: `user, time, adgroup, pid, clk`, sorted, no duplicates; time since START.

    Raises:
        DataError: more than 0.1 % of the rows are malformed, or none is inside the window.
    """

    def checked(rows: pl.LazyFrame) -> pl.LazyFrame:
        contradiction = pl.col("nonclk") + pl.col("clk") != 1
        return rows.with_columns(
            time=pl.col("time_stamp") - START,
            malformed=pl.col("malformed") | contradiction.fill_null(False),
        )

    rows = read_lines(path, COLUMNS["raw_sample"], work / "raw_sample.parquet", says.command, then=checked)
    count.of("raw_sample", rows)
    kept = total = 0
    files = []
    for day in range(DAYS):
        says.progress("read impressions", day, DAYS)
        today = rows.frame.filter(pl.col("time").is_between(day * DAY, (day + 1) * DAY - 1)).select(
            "user", "time", pl.col("adgroup_id").alias("adgroup"), "pid", "clk"
        )
        found = today.collect(engine="streaming")
        clean = found.unique().sort("time", "user", "adgroup", "pid", "clk", nulls_last=True)
        files.append(work / f"day-{day}.parquet")
        clean.write_parquet(files[-1], compression="zstd", compression_level=1)
        total, kept = total + len(found), kept + len(clean)
    count.quirks["rows_outside_window"] = rows.rows - rows.malformed - total
    count.quirks["duplicate_rows"] = total - kept
    if not total:
        times = rows.frame.select(low=pl.min("time_stamp"), high=pl.max("time_stamp")).collect().row(0)
        raise DataError(
            f"{path.name}: no row lies within 2017-05-06 .. 2017-05-13 (UTC+8), Unix seconds {START} .. "
            f"{START + DAYS * DAY - 1}; its times are {times[0]} .. {times[1]}. Give another: {says.command}"
        )
    return files


def read_ads(path: Path, work: Path, count: Count, says: Reporting) -> pl.LazyFrame:
    """Read `adgroup, cate, campaign, customer, brand, price`, one row per ad; the price is log(1 + price)."""
    ads = _one_row_each("ad_feature", path, "adgroup_id", work, count, says)
    price = pl.when(pl.col("price") >= 0).then(pl.col("price").log1p())
    return ads.select(
        "campaign_id", "customer", "brand", adgroup="adgroup_id", cate="cate_id", price=price
    ).rename({"campaign_id": "campaign"})


def read_profiles(path: Path, work: Path, count: Count, says: Reporting) -> pl.LazyFrame:
    """Read the profile's fields, one row per `user`."""
    return _one_row_each("user_profile", path, "userid", work, count, says).select(*PROFILE, user="userid")


def _one_row_each(
    kind: Table, path: Path, key: str, work: Path, count: Count, says: Reporting
) -> pl.LazyFrame:
    """Read a table, keeping only the first row of each key."""
    says.progress(f"read {kind}", 0, 0)
    lines = read_lines(path, COLUMNS[kind], work / f"{kind}-lines.parquet", says.command)
    count.of(kind, lines)
    first = lines.frame.collect(engine="streaming").unique(key, keep="first", maintain_order=True)
    count.quirks[f"{kind}_repeated_rows"] = lines.rows - lines.malformed - len(first)
    first.write_parquet(work / f"{kind}.parquet")
    return pl.scan_parquet(work / f"{kind}.parquet")


def read_buys(path: Path, work: Path, count: Count, says: Reporting) -> pl.LazyFrame:
    """Read `user, cate, brand, day, last_buy`: time of a user's last buy of a category and brand on a day."""
    says.progress("read behaviour log", 0, 0)
    time = pl.col("time_stamp") - START
    bought = (pl.col("btag") == "buy") & time.is_between(0, DAYS * DAY - 1)

    def buys_alone(rows: pl.LazyFrame) -> pl.LazyFrame:
        """Empty all rows except buys, which are one in a hundred, so that the others take no space."""
        kept = {name: pl.when(bought).then(pl.col(name)) for name in ("user", "cate", "brand")}
        return rows.select("line", "malformed", **kept, time=pl.when(bought).then(time))

    lines = read_lines(path, COLUMNS["behavior_log"], work / "log.parquet", says.command, then=buys_alone)
    count.of("behavior_log", lines)
    known = lines.frame.filter(pl.all_horizontal(pl.col("time", "cate", "brand").is_not_null()))
    last = known.group_by("user", "cate", "brand", (pl.col("time") // DAY).alias("day"))
    last.agg(last_buy=pl.col("time").max()).sink_parquet(work / "buys.parquet")
    return pl.scan_parquet(work / "buys.parquet")
