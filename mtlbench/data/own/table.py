"""Reading a user's files into one table: ids as texts, numbers as numbers, what cannot be read counted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from mtlbench.data.own.card import SEPARATORS, OwnCard, OwnField, OwnTask
from mtlbench.errors import DataError

MOST_UNREADABLE = 0.001
"""Share of values of a column that may be no number where one is wanted; more is a mistake in the card."""
EMPTY = ("", "nan", "null", "none", "na", "n/a")
YES, NO = ("true", "yes", "t", "y"), ("false", "no", "f", "n")
SUFFIXES = {"csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz"), "parquet": (".parquet", ".pq")}
SUFFIXES["ndjson"] = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".json", ".json.gz")


def scan(files: Sequence[Path], columns: Mapping[str, bool], command: str) -> pl.LazyFrame:
    """The columns of all files, one after another, as texts, so that files may differ in types.

    Args:
        files: CSV, Parquet, NDJSON, told by their names.
        columns: what to read; True for those that are a list a row.
        command: for messages.

    Raises:
        DataError: an unknown format, or a column is missing.
    """
    return pl.concat([_scan_one(file, columns, command) for file in files])


def _scan_one(file: Path, columns: Mapping[str, bool], command: str) -> pl.LazyFrame:
    form = next((form for form, ends in SUFFIXES.items() if file.name.lower().endswith(ends)), "")
    if not form:
        known = ", ".join(suffix for ends in SUFFIXES.values() for suffix in ends)
        raise DataError(f"{file.name}: what format is it? The name should end in one of {known}.")
    if form == "csv":
        separator = "\t" if ".tsv" in file.name.lower() else ","
        frame = pl.scan_csv(
            file, infer_schema=False, empty_string_is_null=False, separator=separator, glob=False
        )
    elif form == "parquet":
        frame = pl.scan_parquet(file, glob=False)
    else:
        lists = {name: pl.List(pl.String) if many else pl.String for name, many in columns.items()}
        frame = pl.scan_ndjson(file, schema=lists)
    schema = frame.collect_schema()
    missing = [name for name in columns if name not in schema]
    if missing:
        raise DataError(
            f"{file.name} has no column {', '.join(map(repr, missing))}; it has {', '.join(schema.names())}. "
            f"Mend the card or the file, then: {command}"
        )
    return frame.select(_plain(name, schema[name], many) for name, many in columns.items())


def _plain(name: str, dtype: pl.DataType, many: bool) -> pl.Expr:
    """A column as text, or as a list of texts."""
    column = pl.col(name)
    if isinstance(dtype, pl.List | pl.Array):
        return column.cast(pl.List(dtype.inner)).list.eval(_as_text(pl.element(), dtype.inner))
    text = _as_text(column, dtype)
    if not many:
        return text
    ids = text.str.replace_all(f"[{SEPARATORS}\\[\\]]+", " ").str.strip_chars().str.split(" ")
    return ids.list.eval(pl.element().filter(pl.element() != ""))


def _as_text(value: pl.Expr, dtype: object) -> pl.Expr:
    if dtype in (pl.Float32, pl.Float64):  # pandas turns ids into floats where one is missing
        whole = (value.round() == value) & (value.abs() < 2**53)
        return (
            pl.when(whole)
            .then(value.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(value.cast(pl.String))
        )
    if isinstance(dtype, pl.Datetime | pl.Date):
        return value.cast(pl.Datetime("us")).cast(pl.Int64).cast(pl.String)
    return value.cast(pl.String)


def _known(name: str) -> pl.Expr:
    """A column's texts without blanks around them; null where there is nothing."""
    text = pl.col(name).str.strip_chars()
    return pl.when(~text.str.to_lowercase().is_in(EMPTY)).then(text)


def field_column(name: str, field: OwnField) -> pl.Expr:
    """A field as `write_table` wants it."""
    if field.kind == "numeric":
        value = _known(name).cast(pl.Float64, strict=False)
        return (value.log1p() if field.log else value).alias(name)
    if field.kind == "categorical":
        return _known(name).alias(name)
    return pl.col(name).list.drop_nulls()


def label_column(name: str, task: OwnTask) -> pl.Expr:
    """A task's labels: a number, null where it is not defined."""
    value = _number(task.label or name)
    if task.at_least is not None:
        value = pl.when(value.is_not_null()).then((value >= task.at_least).cast(pl.Float64))
    if task.where:
        value = pl.when(_number(task.where) == 1).then(value)
    return value.alias(name)


def _number(name: str) -> pl.Expr:
    """A number, or yes and no as 1 and 0."""
    text = _known(name).str.to_lowercase()
    yes_no = pl.when(text.is_in(YES)).then(1.0).when(text.is_in(NO)).then(0.0)
    return yes_no.otherwise(text.cast(pl.Float64, strict=False)).fill_nan(None)


def time_column(name: str) -> pl.Expr:
    """Times that can be compared: numbers as they are, dates as microseconds since 1970."""
    text = _known(name)
    stamp = text.str.to_datetime(strict=False, time_unit="us", time_zone="UTC").cast(pl.Int64)
    return pl.coalesce(text.cast(pl.Float64, strict=False), stamp.cast(pl.Float64)).alias(name)


def check_readable(table: pl.LazyFrame, card: OwnCard, where: str, command: str) -> dict[str, int]:
    """Count values that are there but are no number where one is wanted.

    Raises:
        DataError: more than 0.1 % of a column's values are.
    """
    wanted = {name: field_column(name, f) for name, f in card.fields.items() if f.kind == "numeric"}
    for name, task in card.tasks.items():
        wanted[task.label or name] = _number(task.label or name)
        if task.where:
            wanted[task.where] = _number(task.where)
    if card.time:
        wanted[card.time] = time_column(card.time)
    looks = []
    for name, value in wanted.items():
        given = _known(name).is_not_null()
        strange = given & (value.is_null() | value.is_nan())
        example = pl.col(name).filter(strange).first()
        looks.append(pl.struct(given=given.sum(), strange=strange.sum(), example=example).alias(name))
    seen = table.select(looks).collect(engine="streaming").row(0, named=True)
    quirks: dict[str, int] = {}
    for name, found in seen.items():
        given, strange, example = found["given"], found["strange"], found["example"]
        if strange:
            quirks[f"unreadable_{name}"] = strange
        if strange > MOST_UNREADABLE * given:
            raise DataError(
                f"{where}: {strange:,} of {given:,} values of column {name!r} are no number or date, such as "
                f"{example!r}. Mend the column, or the card: {command}"
            )
    return quirks
