"""JSON lines read in chunks: a line is a record, or it is counted as malformed. No line is lost.

Polars' NDJSON scan stops at the first line that is not JSON, whatever `ignore_errors` is. So lines are read
here, and a chunk that Polars refuses is halved until the malformed lines are isolated.
"""

import ast
import contextlib
import gzip
import io
import json
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import polars as pl

from mtlbench.data.archive import GZIP
from mtlbench.data.lines import MOST_MALFORMED, Lines
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

CHUNK = 1 << 24
"""Number of bytes of lines parsed at a time."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_records(
    path: Path,
    keys: Collection[str],
    shape: Callable[[pl.DataFrame], pl.DataFrame],
    parts: Path,
    says: Reporting,
    *,
    literals: bool = False,
) -> Lines:
    """Read some keys of the records at `path`, shaped, into Parquet files in the new folder `parts`.

    Args:
        path: JSON lines, gzipped or not.
        keys: keys to read as columns of strings, whatever the values are: lists and objects become JSON-like
            text. A missing key is null.
        shape: maps the records of a chunk, one per line, with `line`, to the wanted rows.
        parts: folder for the result.
        says: receives progress, and has the command that repairs the file.
        literals: whether lines may be Python literals instead, as in the metadata of 2014.

    Returns:
        The well-formed records, shaped; blank lines count as no rows.

    Raises:
        DataError: damaged packing, no line, or more than 0.1 % of the lines are malformed.
    """
    parts.mkdir(parents=True)
    schema = dict.fromkeys(keys, pl.String)
    rows, bad = 0, _Bad()
    for number, (start, lines) in enumerate(_chunks(path, says)):
        kept = [(n, line) for n, line in enumerate(lines, start) if line.strip()]
        rows += len(kept)
        if literals:
            kept = [(n, found) for n, line in kept if (found := bad.unless(n, line, _as_json(line, keys)))]
        frames = list(_parsed(kept, schema, bad))
        chunk = pl.concat(frames) if frames else pl.DataFrame(schema={"line": pl.Int64, **schema})
        shape(chunk).write_parquet(parts / f"{number:06}.parquet", compression="zstd", compression_level=1)
    if rows == 0:
        raise DataError(f"{path.name} is empty. Get the file again, then: {says.command}")
    if bad.count > MOST_MALFORMED * rows:
        raise DataError(
            f"{path.name}: {bad.count:,} of {rows:,} lines are malformed (more than 0.1 %). Wanted: one JSON "
            f"object a line. First malformed lines: {', '.join(map(str, bad.first))}; line {bad.first[0]}: "
            f"{bad.text!r}. Mend the file, or get it again, then: {says.command}"
        )
    return Lines(pl.scan_parquet(sorted(parts.iterdir()), glob=False), rows, bad.count, tuple(bad.first))


def first_lines(path: Path, says: Reporting, most: int = 100) -> list[bytes]:
    """Return the first lines that are not blank, within the file's first CHUNK bytes.

    Raises:
        DataError: damaged packing.
    """
    with _opened(path, says) as (stream, _):
        lines = stream.read(CHUNK).removeprefix(BYTE_ORDER_MARK).splitlines()
    return [line for line in lines if line.strip()][:most]


def as_object(line: bytes) -> dict[str, Any] | None:
    """Parse a line as JSON, else as a Python literal; return None if it is neither, or not an object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = _literal(line)
    return found if isinstance(found, dict) else None


class _Bad:
    """Record of malformed lines: their count, the numbers of the first ten, the start of the first."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []
        self.text = ""

    def unless(self, number: int, line: bytes, found: bytes | None) -> bytes | None:
        """Return `found`; if it is None, record the line."""
        if found is None:
            self.add(number, line)
        return found

    def add(self, number: int, line: bytes) -> None:
        """Record a line; lines may come in any order."""
        self.count += 1
        if not self.first or number < self.first[0]:
            self.text = line[:80].decode(errors="replace").strip()
        self.first = sorted([*self.first, number])[:10]


def _parsed(
    lines: list[tuple[int, bytes]], schema: Mapping[str, type[pl.String]], bad: _Bad
) -> Iterator[pl.DataFrame]:
    """Yield the records of numbered lines; record malformed ones."""
    if not lines:
        return
    # A blank line first: Polars would try to unpack content that begins like an archive.
    content = b"\n".join((b"", *(line for _, line in lines)))
    with contextlib.suppress(pl.exceptions.PolarsError):
        frame = pl.read_ndjson(io.BytesIO(content), schema=schema)
        if len(frame) == len(lines):
            yield frame.with_columns(line=pl.Series([n for n, _ in lines], dtype=pl.Int64))
            return
    if len(lines) == 1:
        bad.add(*lines[0])
        return
    middle = len(lines) // 2
    yield from _parsed(lines[:middle], schema, bad)
    yield from _parsed(lines[middle:], schema, bad)


def _as_json(line: bytes, keys: Collection[str]) -> bytes | None:
    """Convert a line that is JSON or a Python literal to JSON with only `keys`; None if it is neither."""
    found = as_object(line)
    if found is None:
        return None
    try:
        return json.dumps({key: found.get(key) for key in keys}, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):  # bytes, sets, infinite numbers
        return None


def _literal(line: bytes) -> object:
    """Parse a Python literal without running any code; return None if it is not one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\\d" in a text is an invalid escape
        try:
            return ast.literal_eval(line.decode().strip())
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None


def _chunks(path: Path, says: Reporting) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lists of lines, each with the number of its first line."""
    number, size = 1, path.stat().st_size
    with _opened(path, says) as (stream, packed):
        while lines := stream.readlines(CHUNK):
            if number == 1:
                lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
            yield number, lines
            number += len(lines)
            says.progress("read", packed.tell(), size)


@contextlib.contextmanager
def _opened(path: Path, says: Reporting) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open the file; yield its unpacked content, and the file itself."""
    try:
        with path.open("rb") as packed:
            head = packed.read(len(GZIP))
            packed.seek(0)
            if head == GZIP:
                with gzip.open(packed) as stream:
                    yield stream, packed  # type: ignore[misc]
            else:
                yield packed, packed
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is cut short or damaged ({error}). Get the file again, then: {says.command}"
        ) from error
