"""Taobao's display ads: is a shown ad clicked, and is something of its category and brand bought that day?

Data of Alibaba's "Ad Display/Click Data on Taobao.com" (Tianchi 56), used by DIN, DMR and others. Source,
terms, quirks, the split and its reason: datasets/taobao-ads/card.toml
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field as Setting

from mtlbench.data.card import Card, RemoteFile
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import Published
from mtlbench.data.splits import hashed, share_of_smallest
from mtlbench.data.table import write_table
from mtlbench.data.taobao_ads.past import ENTITIES, Past
from mtlbench.data.taobao_ads.tables import (
    DAY,
    DAYS,
    PROFILE,
    Count,
    arrange,
    read_ads,
    read_buys,
    read_exposures,
    read_profiles,
)
from mtlbench.data.times import span
from mtlbench.data.unpack import unpack
from mtlbench.errors import DataError
from mtlbench.load import SplitName
from mtlbench.schema import Field, Schema, Task

SPLIT_DAYS: Mapping[SplitName, range] = {
    "train": range(6),
    "validation": range(6, 7),
    "test": range(7, 8),
}
"""Days of the window in each split; FIRST_DAY is day 0."""
FIRST_DAY = date(2017, 5, 6)
SATURDAY = 5
"""Weekday of the window's first day, where Monday is 0."""
IDS = {
    "user": "user",
    "adgroup": "item",
    "cate": "category",
    "campaign": "item",
    "customer": "item",
    "brand": "item",
    "pid": "context",
    "hour": "time",
    "weekday": "time",
    **dict.fromkeys(PROFILE, "user"),
}
KNOWN = ("known_ad", "known_user")
"""Columns that tell whether a row's ad and user are in their tables."""
FIELDS = (
    *(Field(name=name, kind="categorical", vocabulary=name, of=of) for name, of in IDS.items()),
    Field(name="price", kind="numeric", of="item"),
    *(
        Field(name=f"{entity}_{what}", kind="numeric", of=of)
        for entity, of in ENTITIES.items()
        for what in ("shown", "clicked", "rate")
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaobaoAdsSettings:
    """Settings that the user may choose.

    Attributes:
        users: number of users to sample of those shown an ad on a train day; "all", or more than there are,
            takes all. 100,000 give about 2 million train rows.
        log: whether to get the behaviour log too (22 GB), for the task `buy`. It is used whenever it is
        given.
        seed: seed of the draw of users.
    """

    users: Annotated[int, Setting(ge=1)] | Literal["all"] = 100_000
    log: bool = False
    seed: Annotated[int, Setting(ge=0, lt=2**63)] = 0


class TaobaoAds(Published):
    """Recipe of Taobao's display ads."""

    Settings = TaobaoAdsSettings
    revision = 1

    def files(self, card: Card, settings: Any) -> tuple[RemoteFile, ...]:
        """Return all files of the card; the log only if requested."""
        return tuple(file for file in super().files(card, settings) if settings.log or not file.optional)

    def build(self, raw: Raw, settings: TaobaoAdsSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Read the tables, then go day by day: the features of a day know only the days before it."""
        files = [path for file in raw.files for path in unpack(file, work, says)]
        given = arrange(files, says.command, log=settings.log)
        count = Count()
        ads = read_ads(given["ad_feature"], work, count, says)
        profiles = read_profiles(given["user_profile"], work, count, says)
        days = read_exposures(given["raw_sample"], work, count, says)
        buys = read_buys(given["behavior_log"], work, count, says) if "behavior_log" in given else None
        ready = _ready(days, ads, profiles, buys, settings, work, says)
        count.quirks |= _unknown(ready, days)
        tasks = (Task(name="ctr"), *((Task(name="buy", given="ctr"),) if buys is not None else ()))
        return write_table(
            {
                split: pl.concat([pl.scan_parquet(ready[day]) for day in numbers]).drop(KNOWN)
                for split, numbers in SPLIT_DAYS.items()
            },
            Schema(fields=FIELDS, tasks=tasks, cluster="user", time="time"),
            work=work,
            out=out,
            says=says,
            quirks=count.quirks,
            notes={"malformed_lines": count.malformed},
            periods={split: _period(days) for split, days in SPLIT_DAYS.items()},
        )


def _period(days: range) -> str:
    first, last = (FIRST_DAY + timedelta(days=day) for day in (days[0], days[-1]))
    return span(first, last, "UTC+8")


def _ready(
    days: Sequence[Path],
    ads: pl.LazyFrame,
    profiles: pl.LazyFrame,
    buys: pl.LazyFrame | None,
    settings: TaobaoAdsSettings,
    work: Path,
    says: Reporting,
) -> list[Path]:
    """Write, for each day, a file of the sampled users' rows, with all fields and tasks."""
    ads, profiles = (
        t.with_columns(pl.lit(True).alias(name)) for t, name in zip((ads, profiles), KNOWN, strict=True)
    )
    share = _share(days, settings, says.command)
    past = Past()
    ready = []
    for day, path in enumerate(days):
        says.progress("features", day, DAYS)
        shown = pl.scan_parquet(path).join(ads, on="adgroup", how="left", maintain_order="left")
        taken = shown.filter(hashed("user", share, settings.seed)) if share < 1 else shown
        rows = taken.join(profiles, on="user", how="left", maintain_order="left")
        ready.append(work / f"ready-{day}.parquet")
        _labelled(past.features(rows, day), buys, day).sink_parquet(ready[-1])
        past.close(shown)
    return ready


def _share(days: Sequence[Path], settings: TaobaoAdsSettings, command: str) -> float:
    """Return the share of all possible users to sample: those on train days with the smallest hashes."""
    train = [pl.scan_parquet(days[day]).select("user") for day in SPLIT_DAYS["train"]]
    users = pl.concat(train).unique().collect(engine="streaming")["user"]
    if not len(users):
        raise DataError(
            f"No impression lies on a train day, 6 to 11 May 2017 (UTC+8). Give another: {command}"
        )
    return share_of_smallest(users, settings.users, settings.seed)


def _labelled(rows: pl.LazyFrame, buys: pl.LazyFrame | None, day: int) -> pl.LazyFrame:
    """Add the tasks to the fields: a buy counts from the impression to midnight of that day."""
    rows = rows.with_columns(
        hour=pl.col("time") % DAY // 3600,
        weekday=pl.lit((SATURDAY + day) % 7),
        ctr=pl.col("clk").cast(pl.Int8),
    ).drop("clk")
    if buys is None:
        return rows
    today = buys.filter(pl.col("day") == day).drop("day")
    bought = (pl.col("last_buy") >= pl.col("time")).fill_null(False).cast(pl.Int8)
    return (
        rows.join(today, on=["user", "cate", "brand"], how="left", maintain_order="left")
        .with_columns(buy=pl.when(pl.col("brand").is_not_null() & pl.col("cate").is_not_null()).then(bought))
        .drop("last_buy")
    )


def _unknown(ready: Sequence[Path], days: Sequence[Path]) -> dict[str, int]:
    """Count rows that are not sampled, rows whose ad or user is in no table, and rows without a brand."""
    total = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in days)
    counts = pl.concat([pl.scan_parquet(path) for path in ready]).select(
        rows_of_other_users=total - pl.len(),
        rows_without_ad=pl.col(KNOWN[0]).is_null().sum(),
        rows_without_profile=pl.col(KNOWN[1]).is_null().sum(),
        rows_without_brand=pl.col("brand").is_null().sum(),
    )
    return {name: int(n) for name, n in counts.collect(engine="streaming").row(0, named=True).items()}


RECIPE = TaobaoAds()
