"""RetailRocket's files: recognising them, and turning their lines into rows of a log.

events.csv has a header and milliseconds since 1970; item_properties_part{1,2}.csv record how each item's
properties changed, including its category.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from mtlbench.data.lines import Column, header, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.data.unpack import unpack
from mtlbench.data.userbehavior.log import Rows
from mtlbench.data.userbehavior.window import DAY, Window
from mtlbench.errors import DataError

PAGE = "https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset"
WINDOW = Window(
    first=date(2015, 5, 3),
    utc_hours=0,
    days=139,
    splits={"train": range(1, 111), "validation": range(111, 125), "test": range(125, 139)},
    behaviours=("view", "addtocart", "transaction"),
    tasks=("view", "cart", "transaction"),
)
"""Window from 3 May to 18 September 2015; the shop's time zone is not published."""
LARGEST_ID = 2**31
"""Upper bound of ids of visitors, items and categories; the real ones are below two million."""
EVENTS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
PROPERTIES = ("timestamp", "itemid", "property", "value")
TREE = ("categoryid", "parentid")
CASEREC = ("visitorid", "itemid", "event")
"""Header of another edition of the events, with tabs and without times; the others are above."""


@dataclass(slots=True)
class Files:
    """The unpacked files, recognised by their first lines."""

    events: list[Path] = field(default_factory=list)
    properties: list[Path] = field(default_factory=list)
    without_times: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def sort_out(given: Sequence[Path], work: Path, says: Reporting) -> Files:
    """Unpack the raw files and recognise each.

    Raises:
        DataError: there is not exactly one log of events, or the edition without times was given.
    """
    files = Files()
    for path in (inside for file in given for inside in unpack(file, work, says)):
        names = set(header(path))
        if names >= set(EVENTS[:4]):
            files.events.append(path)
        elif names >= set(PROPERTIES):
            files.properties.append(path)
        elif set(header(path, "\t")) >= set(CASEREC):
            files.without_times.append(path)
        elif names != set(TREE):
            files.others.append(path.name)
    if files.without_times:
        raise DataError(f"{describe_without_times(files.without_times, work, says)} {_advice(says)}")
    if len(files.events) != 1:
        found = ", ".join(path.name for path in files.events) or "none"
        raise DataError(
            f"Wanted: one log of events (first line {','.join(EVENTS)}) and, if you have them, "
            f"item_properties_part1.csv and item_properties_part2.csv. Logs found: {found}; files of another "
            f"kind: {', '.join(files.others) or 'none'}. {_advice(says)}"
        )
    if files.others:
        says.report(f"Not read: {', '.join(files.others)}.")
    return files


def describe_without_times(files: Sequence[Path], work: Path, says: Reporting) -> str:
    """Describe what the CaseRec edition holds, and why it is not enough."""
    column = {name: Column(pl.Int64) for name in CASEREC}
    tables, counts = [], []
    for number, path in enumerate(files):
        target = work / f"without-times-{number}.parquet"
        lines = read_lines(path, column, target, says.command, separator="\t")
        tables.append(lines.frame)
        counts.append(f"{path.name} {lines.rows:,} rows")
    ids = pl.concat(tables).select(pl.col("visitorid").n_unique(), pl.col("itemid").n_unique())
    visitors, items = ids.collect().row(0)
    return (
        f"This is the CaseRec edition of RetailRocket: {', '.join(counts)}; {visitors:,} visitors and "
        f"{items:,} items in all. It has no times, so it cannot be split by time, and no feature could be "
        "told from the future."
    )


def _advice(says: Reporting) -> str:
    return f"Get events.csv from {PAGE}, then: {says.command}"


def read_events(files: Files, work: Path, says: Reporting) -> Rows:
    """Read the events with each item's category, null if unknown.

    Raises:
        DataError: a file is empty, or more than 0.1 % of its rows are malformed.
    """
    says.progress("read", 0, 0)
    [path] = files.events
    columns = {name: Column(pl.Int64) for name in ("timestamp", "visitorid", "itemid")}
    columns["event"] = Column(pl.String, among=WINDOW.behaviours)
    lines = read_lines(path, columns, work / "events.parquet", says.command, then=_sound_ids)
    items, quirks = categories(files.properties, work, says)
    frame = lines.frame.select(
        user="visitorid",
        item="itemid",
        behaviour=pl.col("event").cast(pl.Enum(WINDOW.behaviours)).to_physical().cast(pl.UInt8),
        time=pl.col("timestamp") // 1000 - WINDOW.start,
    )
    frame = frame.join(items.lazy(), on="item", how="left")
    frame = frame.select("user", "item", "category", "behaviour", "time")
    return Rows(path.name, frame, lines.rows, lines.malformed, lines.first_malformed, quirks)


def categories(
    properties: Sequence[Path], work: Path, says: Reporting
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the category of each item, and counts of oddities.

    An item's earliest category counts, if it was recorded before validation starts: later records must not
    change a train row.

    Returns:
        `item` and `category`, one row per item; and quirks.
    """
    columns = {name: Column(pl.Int64) for name in ("timestamp", "itemid")}
    columns |= {"property": Column(pl.String), "value": Column(pl.String, optional=True)}
    tables = [pl.LazyFrame(schema=dict.fromkeys(("timestamp", "itemid", "category"), pl.Int64))]
    rows = malformed = 0
    for number, path in enumerate(properties):
        target = work / f"properties-{number}.parquet"
        lines = read_lines(path, columns, target, says.command, then=_only_categories)
        tables.append(lines.frame.filter(pl.col("category").is_not_null()).drop("line"))
        rows, malformed = rows + lines.rows, malformed + lines.malformed
    found = pl.concat(tables)
    opens = (WINDOW.start + WINDOW.splits["validation"][0] * DAY) * 1000
    items, ever = pl.collect_all(
        [
            found.filter(pl.col("timestamp") < opens)
            .group_by(item="itemid")
            .agg(pl.col("category").sort_by("timestamp", "category").first()),
            found.select(pl.col("itemid").n_unique()),
        ]
    )
    quirks = {
        "property_rows": rows,
        "malformed_property_rows": malformed,
        "items_with_a_category": len(items),
        "items_whose_category_came_too_late": int(ever.item()) - len(items),
    }
    return items, quirks if properties else {}


def _sound_ids(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Mark rows with implausibly large ids as malformed."""
    sound = [pl.col(name).is_between(0, LARGEST_ID - 1) for name in ("visitorid", "itemid")]
    return rows.with_columns(pl.col("malformed") | ~pl.all_horizontal(sound))


def _only_categories(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Keep only categories: most rows are of other properties, whose values become null to save space."""
    about = pl.col("property") == "categoryid"
    category = pl.col("value").cast(pl.Int64, strict=False)
    sound = (~about | category.is_between(0, LARGEST_ID - 1)) & pl.col("itemid").is_between(0, LARGEST_ID - 1)
    return rows.select(
        "line",
        "timestamp",
        "itemid",
        category=pl.when(about).then(category),
        malformed=pl.col("malformed") | ~sound.fill_null(False),
    )
