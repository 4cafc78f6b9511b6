"""Text tables read line by line: a line is a row, or it is counted as malformed. No line is lost.

A CSV parser silently joins lines at a stray quote and fills short rows with nulls. So a line is read as one
string and split at every separator: its number of fields is exact, damage stays within its line, and quotes
are removed only around a field. A quoted field that contains the separator is not supported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from mtlbench.data.archive import check_text
from mtlbench.errors import DataError

MOST_MALFORMED = 0.001
LARGEST = 1e30
"""Largest number accepted, others are damage; up to it, float32 holds a number and float64 its square."""
EMPTY = ("", "NaN", "nan", "NULL", "null", "None")
NO_SEPARATOR = "\x1f"
"""The unit separator, which occurs in no line of these files, so that Polars returns whole lines."""


@dataclass(frozen=True, slots=True)
class Column:
    """Allowed content of a field.

    Attributes:
        dtype: pl.Int64 ("3" or "3.0"), pl.Float64 (finite) or pl.String; anything else is malformed.
        optional: whether the field may be empty, NaN or NULL, which become null; else these are malformed
        too.
        among: the possible values; others are malformed. Empty: all values are possible.
    """

    dtype: type[pl.Int64 | pl.Float64 | pl.String]
    optional: bool = False
    among: tuple[int, ...] | tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """The rows of a file.

    Attributes:
        frame: the well-formed rows in file order: the columns, and `line`, counted from 1.
        rows: number of lines of the file, without its header.
        malformed: number of lines that are not in `frame`.
        first_malformed: line numbers of the first ten malformed lines.
    """

    frame: pl.LazyFrame
    rows: int
    malformed: int
    first_malformed: tuple[int, ...]


def header(path: Path, separator: str = ",") -> list[str]:
    """Return the fields of the first line, without byte order mark, blanks and quotes; [] without a line."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as stream:
        first = stream.readline(100_000).strip()
    return [name.strip().strip('"').strip() for name in first.split(separator)] if first else []


def read_lines(
    path: Path,
    columns: Mapping[str, Column],
    parquet: Path,
    command: str,
    *,
    names: Sequence[str] | None = None,
    separator: str = ",",
    then: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows,
) -> Lines:
    """Read `columns` of the table at `path` into the file `parquet`.

    Args:
        path: an unpacked text file.
        columns: the columns to read, found by name in any order.
        parquet: the file to write; `frame` scans it.
        command: command that repairs the problem, for messages.
        names: names of the fields, if the file has no header line.
        separator: separator of fields.
        then: applied to the rows (`columns`, `line`, and `malformed`, which it may extend) before they are
            written; it must keep every row and their order.

    Raises:
        DataError: the file is packed, lacks a column, has no row, or has more than 0.1 % malformed rows.
    """
    check_text(path, command)
    found = list(names) if names is not None else header(path, separator)
    missing = [name for name in columns if found.count(name) != 1]
    if missing:
        raise DataError(
            f"{path.name}: its first line should name {_some(list(columns))}; once each. It has "
            f"{_some(found)}; not once: {_some(missing)}. Give another file: {command}"
        )
    skipped = int(names is None)
    lines = pl.scan_csv(
        path,
        has_header=False,
        schema={"text": pl.String, "rest": pl.String},
        separator=NO_SEPARATOR,
        quote_char=None,
        encoding="utf8-lossy",
        empty_string_is_null=False,
        missing_columns="insert",
        extra_columns="ignore",
        truncate_ragged_lines=True,
        skip_lines=skipped,
        row_index_name="line",
        row_index_offset=1 + skipped,
        raise_if_empty=False,
        glob=False,
    )
    places = {name: f"field_{found.index(name)}" for name in columns}
    last, beyond = (pl.col(f"field_{n}") for n in (len(found) - 1, len(found)))
    misshapen = [last.is_null(), beyond.is_not_null(), pl.col("rest") != ""]
    # One statement per step, so that each is computed once.
    fields = lines.select("line", "rest", fields=pl.col("text").str.split_exact(separator, len(found)))
    texts = fields.unnest("fields").select(
        "line",
        *(_text(pl.col(place)).alias(f"text {name}") for name, place in places.items()),
        malformed=pl.any_horizontal(misshapen),
    )
    values = texts.with_columns(
        _value(pl.col(f"text {name}"), column).alias(name) for name, column in columns.items()
    )
    checked = values.select(
        "line",
        *columns,
        malformed=pl.any_horizontal(
            "malformed", *(_unsound(name, column) for name, column in columns.items())
        ),
    )
    then(checked).sink_parquet(parquet, compression="zstd", compression_level=1)
    scan = pl.scan_parquet(parquet)
    counts = scan.select(rows=pl.len(), malformed=pl.col("malformed").sum()).collect(engine="streaming")
    rows, malformed = (int(n) for n in counts.row(0))
    if rows == 0:
        raise DataError(f"{path.name} holds no row. Get the file again, then: {command}")
    bad = scan.filter("malformed").select(pl.col("line").bottom_k(10).sort()).collect(engine="streaming")
    first = tuple(int(n) for n in bad["line"])
    if malformed > MOST_MALFORMED * rows:
        raise DataError(
            f"{path.name}: {malformed:,} of {rows:,} rows are malformed (more than 0.1 %). Wanted: "
            f"{len(found)} columns with {separator!r} between them, {_some(found)}. First malformed lines: "
            f"{', '.join(map(str, first))}; line {first[0]}: {_shown(path, first[0])!r}. Mend the file, or "
            f"give another: {command}"
        )
    return Lines(scan.filter(~pl.col("malformed")).drop("malformed"), rows, malformed, first)


def _text(field: pl.Expr) -> pl.Expr:
    """Strip blanks and quotes around the field; null if it is empty."""
    text = field.str.strip_chars(' \r\t"')
    return pl.when(~text.is_in(EMPTY)).then(text)


def _value(text: pl.Expr, column: Column) -> pl.Expr:
    """Convert the field to its type; null if it is empty or not allowed in the column."""
    value = text
    if column.dtype == pl.Int64:
        value = text.str.strip_suffix(".0").cast(pl.Int64, strict=False)  # pandas writes 3.0 beside NaN
    elif column.dtype == pl.Float64:
        value = text.cast(pl.Float64, strict=False)
        value = pl.when(value.abs() <= LARGEST).then(value)
    return pl.when(value.is_in(column.among)).then(value) if column.among else value


def _unsound(name: str, column: Column) -> pl.Expr:
    """Return whether the content of the field is not allowed."""
    missing = pl.col(name).is_null()
    return missing & pl.col(f"text {name}").is_not_null() if column.optional else missing


def _some(names: Sequence[str]) -> str:
    """List the first few of many names."""
    shown = ", ".join(names[:8]) or "nothing"
    return f"{shown}, ... ({len(names)} in all)"[:400] if len(names) > 8 else shown[:400]


def _shown(path: Path, line: int) -> str:
    """Return the start of a line of the file."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as stream:
        return next(islice(stream, line - 1, None), "").rstrip("\r\n")[:80]
