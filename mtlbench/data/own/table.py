"""Reading a user's files into one table: ids as texts, numbers as numbers, unreadable values counted."""

import glob
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from mtlbench.data.archive import GZIP
from mtlbench.data.lines import LARGEST
from mtlbench.data.own.card import SEPARATORS, OwnCard, OwnField, OwnTask
from mtlbench.data.times import EARLIEST, LATEST, UNITS
from mtlbench.errors import DataError

MOST_UNREADABLE = 0.001
"""Largest share of a numeric column's values that may be unreadable; more means a mistake in the card."""
EMPTY = ("", "nan", "null", "none", "na", "n/a")
YES, NO = ("true", "yes", "t", "y"), ("false", "no", "f", "n")
SUFFIXES = {"csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz"), "parquet": (".parquet", ".pq")}
SUFFIXES["ndjson"] = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".json", ".json.gz")


def scan(files: Sequence[Path], columns: Mapping[str, bool], command: str) -> pl.LazyFrame:
    """Scan the columns of all files, concatenated, as texts, so that files may differ in types.

    Args:
        files: CSV, Parquet or NDJSON, recognised by name.
        columns: the columns to read; True for those with a list in each row.
        command: command for messages.

    Raises:
        DataError: an unknown format, or a column is missing.
    """
    return pl.concat([_scan_one(file, columns, command) for file in files])


def _scan_one(file: Path, columns: Mapping[str, bool], command: str) -> pl.LazyFrame:
    form = next((form for form, ends in SUFFIXES.items() if file.name.lower().endswith(ends)), "")
    head = _head(file)
    if head.startswith(("\xff\xfe", "\xfe\xff")):
        raise DataError(f"{file.name} is UTF-16. Save it as UTF-8, then: {command}")
    if form and head.startswith("PAR1"):
        form = "parquet"
    if not form:
        known = ", ".join(suffix for ends in SUFFIXES.values() for suffix in ends)
        raise DataError(f"{file.name}: what format is it? The name should end in one of {known}.")
    if form == "csv":
        separator = max(",;\t|", key=head.count)
        frame = pl.scan_csv(
            file, infer_schema=False, empty_string_is_null=False, separator=separator, glob=False
        )
    elif form == "parquet":
        frame = pl.scan_parquet(file, glob=False)
    else:
        lists = {name: pl.List(pl.String) if many else pl.String for name, many in columns.items()}
        frame = pl.scan_ndjson(glob.escape(str(file)), schema=lists)
    schema = frame.collect_schema()
    missing = [name for name in columns if name not in schema]
    if missing:
        raise DataError(
            f"{file.name} has no column {', '.join(map(repr, missing))}; it has {', '.join(schema.names())}. "
            f"Mend the card or the file, then: {command}"
        )
    double = [name for name in columns if f"{name}_duplicated_0" in schema]
    if double:
        raise DataError(f"{file.name} has column {double[0]!r} twice. Rename one, then: {command}")
    return frame.select(_plain(name, schema[name], many) for name, many in columns.items())


def _head(file: Path) -> str:
    """Read the first line, unpacked if necessary, with one character per byte."""
    with file.open("rb") as stream:
        packed = stream.read(len(GZIP)) == GZIP
    with gzip.open(file) if packed else file.open("rb") as stream:
        return stream.readline(100_000).decode("latin-1")


def _plain(name: str, dtype: pl.DataType, many: bool) -> pl.Expr:
    """Convert a column to text, or to a list of texts."""
    column = pl.col(name)
    if isinstance(dtype, pl.List | pl.Array):
        return column.cast(pl.List(dtype.inner)).list.eval(_as_text(pl.element(), dtype.inner))
    text = _as_text(column, dtype)
    if not many:
        return text
    ids = text.str.replace_all(f"[{SEPARATORS}\\[\\]]+", " ").str.split(" ")
    bare = pl.element().str.strip_chars("'\"")
    return ids.list.eval(bare.filter(bare != ""))


def _as_text(value: pl.Expr, dtype: object) -> pl.Expr:
    if dtype in (pl.Float32, pl.Float64):  # pandas turns ids into floats where one is missing
        whole = (value.round() == value) & (value.abs() < 2**53)
        return (
            pl.when(whole)
            .then(value.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(value.cast(pl.String))
        )
    if isinstance(dtype, pl.Datetime | pl.Date):
        return value.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    return value.cast(pl.String)


def _known(name: str) -> pl.Expr:
    """Strip a column's texts; null if empty."""
    text = pl.col(name).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(EMPTY)).then(text)


def _id(text: pl.Expr) -> pl.Expr:
    """Normalise an id as text; 3.0 becomes 3, since pandas writes a column like this if one id is missing."""
    return text.str.replace(r"^(-?\d+)\.0+$", "${1}")


def field_column(name: str, field: OwnField) -> pl.Expr:
    """Convert a field to the form that `write_table` needs."""
    if field.kind == "numeric":
        value = _number(name)
        return (value.log1p() if field.log else value).alias(name)
    if field.kind == "categorical":
        return _id(_known(name)).alias(name)
    return pl.col(name).list.eval(_id(pl.element().drop_nulls()))


def label_column(name: str, task: OwnTask) -> pl.Expr:
    """Convert a task's labels to numbers, null where it is not defined."""
    value = _number(task.label or name)
    if task.at_least is not None:
        value = pl.when(value.is_not_null()).then((value >= task.at_least).cast(pl.Float64))
    if task.where:
        value = pl.when(_number(task.where) == 1).then(value)
    return value.alias(name)


def _number(name: str) -> pl.Expr:
    """Convert to a number up to LARGEST, with yes and no as 1 and 0; null for anything else."""
    text = _known(name).str.to_lowercase()
    yes_no = pl.when(text.is_in(YES)).then(1.0).when(text.is_in(NO)).then(0.0)
    value = yes_no.otherwise(text.cast(pl.Float64, strict=False))
    return pl.when(value.abs() <= LARGEST).then(value)


def time_column(name: str) -> pl.Expr:
    """Convert to comparable times: numbers as they are, ISO dates as microseconds since 1970 (UTC)."""
    return pl.coalesce(_stamp(name), _known(name).cast(pl.Float64, strict=False)).alias(name)


def _stamp(name: str) -> pl.Expr:
    """Parse dates, only in the form 2024-01-31 23:59:59: the meaning of 1/2/2024 differs by country."""
    text = _known(name)
    date = pl.when(text.str.contains(r"^\d{4}-\d\d-\d\d")).then(text)
    return date.str.to_datetime(strict=False, time_unit="us", time_zone="UTC").cast(pl.Int64).cast(pl.Float64)


def time_unit(table: pl.LazyFrame, name: str, where: str, command: str) -> str:
    """Return the unit, one of UNITS, of the times that `time_column` makes; "" if their size does not tell.

    Raises:
        DataError: the times are dates on some rows and numbers on others, or numbers in two units.
    """
    date, time = _stamp(name).is_not_null(), time_column(name)
    spans = {
        unit: (time.is_between(EARLIEST * each, LATEST * each, closed="left") & ~date).any()
        for unit, each in UNITS.items()
    }
    looks = table.select(dates=date.any(), numbers=(time.is_not_null() & ~date).any(), **spans)
    seen = looks.collect(engine="streaming").row(0, named=True)
    kinds = [kind for kind in (("dates", "numbers") if seen["dates"] else UNITS) if seen[kind]]
    if len(kinds) > 1:
        raise DataError(
            f"{where}: column {name!r} holds {kinds[0]} on some rows and {kinds[1]} on others, which cannot "
            f"be compared. Write them alike, then: {command}"
        )
    return "microseconds" if seen["dates"] else next(iter(kinds), "")


def check_readable(table: pl.LazyFrame, card: OwnCard, where: str, command: str) -> dict[str, int]:
    """Count values that are not numbers in columns that should hold numbers.

    Raises:
        DataError: more than 0.1 % of a column's values are unreadable, or a column is empty.
    """
    _check_filled(table, card, where, command)
    wanted = [
        (name, field_column(name, f), "a number, 0 or more (log = true)" if f.log else "a number")
        for name, f in card.fields.items()
        if f.kind == "numeric"
    ]
    for name, task in card.tasks.items():
        labels = (column for column in (task.label or name, task.where) if column)
        wanted += [(column, _number(column), "a number, yes or no") for column in labels]
    if card.time:
        wanted.append((card.time, time_column(card.time), "a number or a date (2024-01-31 23:59:59)"))
    looks = []
    for place, (name, value, _) in enumerate(wanted):
        given = _known(name).is_not_null()
        strange = given & (value.is_null() | value.is_nan())
        example = pl.col(name).filter(strange).first()
        looks.append(pl.struct(given=given.sum(), strange=strange.sum(), example=example).alias(str(place)))
    seen = table.select(looks).collect(engine="streaming").row(0)
    quirks: dict[str, int] = {}
    for (name, _, what), found in zip(wanted, seen, strict=True):
        given, strange, example = found["given"], found["strange"], found["example"]
        if strange:
            quirks[f"unreadable_{name}"] = strange
        if strange > MOST_UNREADABLE * given:
            raise DataError(
                f"{where}: {strange:,} of {given:,} values of column {name!r} are not {what}, such as "
                f"{example!r}. Mend the column, or the card: {command}"
            )
    return quirks


def _check_filled(table: pl.LazyFrame, card: OwnCard, where: str, command: str) -> None:
    """Raise if a column has no value at all, as one missing in NDJSON."""
    schema = table.collect_schema()
    names = schema.names()
    filled = [
        (pl.col(name).list.len() > 0 if schema[name] == pl.List else _known(name).is_not_null())
        .any()
        .alias(name)
        for name in names
    ]
    found = table.select(filled).collect(engine="streaming").row(0, named=True)
    empty = [name for name, one in found.items() if not one]
    if empty:
        raise DataError(f"{where}: column {empty[0]!r} is empty on every row. Mend the card: {command}")
