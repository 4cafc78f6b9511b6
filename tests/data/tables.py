"""Helpers for tests of recipes that read text tables."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import polars as pl

from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared, SplitName
from mtlbench.prepare import prepare

DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda text: text,
    "windows line ends": lambda text: text.replace(b"\n", b"\r\n"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "quoted fields": lambda text: b"\n".join(
        line and b",".join(b'"' + field.strip() + b'"' for field in line.split(b","))
        for line in text.split(b"\n")
    ),
    "no last line end": lambda text: text.removesuffix(b"\n"),
}
"""Ways to write the same table."""


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return folder


def prepared(folder: Path, dataset: str, files: Mapping[str, bytes], **options: object) -> Prepared:
    """The dataset made from these files, in a home of its own."""
    source = write_files(folder / "given", files)
    return prepare(Home(folder / "home"), dataset, source=[source], options=options, force=True)


def table(data: Prepared, split: SplitName) -> pl.DataFrame:
    """The rows of a split as people read them."""
    return pl.read_parquet(data.path / f"{split}.parquet")


def rows(data: Prepared) -> int:
    """Of all splits."""
    return sum(data.manifest["splits"][split]["rows"] for split in SPLITS)


def contents(data: Prepared, *splits: str) -> dict[str, bytes]:
    """The bytes of the matrices, what the vocabularies hold, and the Parquet rows."""
    files = {f"{s}/{f.name}": f.read_bytes() for s in splits for f in sorted((data.path / s).iterdir())}
    people = {s: pl.read_parquet(data.path / f"{s}.parquet").write_ndjson().encode() for s in splits}
    return {**files, **people, "vocabularies": repr(data.vocabularies).encode()}


def csv(header: str, lines: Iterable[Iterable[object]]) -> bytes:
    """A table; None is an empty field."""
    text = [",".join("" if value is None else str(value) for value in line) for line in lines]
    return ("\n".join([header, *text] if header else text) + "\n").encode()


def lines_in(text: bytes, header: bool = True) -> int:
    """Rows that a text holds, one a line."""
    count = text.count(b"\n") + (not text.endswith(b"\n") and text != b"")
    return max(count - header, 0)


def attempt(make: Callable[[], Prepared]) -> Prepared | None:
    """What is prepared; None where it was refused in plain words, which is as good."""
    try:
        return make()
    except DataError as error:
        if "mtlbench prepare" not in str(error):
            raise
        return None
