"""The recipe of a user's own table, as its card describes."""

import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from mtlbench.data.card import Card, card_of
from mtlbench.data.own.card import OwnCard, OwnField, read_own_card
from mtlbench.data.own.table import (
    check_readable,
    field_column,
    label_column,
    scan,
    time_column,
    time_unit,
)
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.splits import cut_dates, hashed
from mtlbench.data.table import write_table
from mtlbench.data.times import periods
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, SplitName

SHARES = (0.8, 0.1)
"""Shares of train and validation; test gets the rest."""
_DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, EOFError, zlib.error)
"""Exceptions raised over damaged files; Polars panics over some damage of Parquet."""
PART = "part of the card's files"
"""Name of the column that tells which entry of `files` a row is from."""
TIME = "time of the row"


class OwnTable:
    """Recipe of the card at `path`; its settings are the card itself."""

    Settings = OwnCard
    simulated = False
    revision = 1

    def __init__(self, path: Path) -> None:
        self.path, self.own = path, read_own_card(path)

    @cached_property
    def parts(self) -> dict[str, tuple[Path, ...]]:
        """The files of each entry of the card; searched once, so that those read are those described."""
        return parts(self.own, self.path)

    @property
    def card(self) -> Card:
        """The part of the card that the guards need."""
        text = {"explained": self.own.explained, "guards": {"error_above": self.own.error_above}}
        return card_of(self.own.name, text, str(self.path))

    def find(self, home: Home, card: Card, settings: OwnCard, given: Sequence[Path]) -> tuple[Path, ...]:
        """Return the files that the card's patterns match."""
        return tuple(file for part in self.parts.values() for file in part)

    def fetch(self, home: Home, card: Card, settings: OwnCard, work: Path, says: Reporting) -> Raw:
        """Fail: never called, since `find` has found the files or raised an error."""
        raise AssertionError(settings.files)

    def build(self, raw: Raw, settings: OwnCard, work: Path, out: Path, says: Reporting) -> Built:
        """Read, split and write the table."""
        try:
            return _build(settings, self.parts, work, out, says)
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # from the disk, not a cut archive
                raise
            first = str(error).strip().splitlines()[0]
            raise DataError(
                f"The files of {self.path} cannot be read: {first}. Mend the file, then: {says.command}"
            ) from error


def parts(card: OwnCard, path: Path) -> dict[str, tuple[Path, ...]]:
    """Find the files of each entry of `files`, in the order of their names.

    Raises:
        DataError: a pattern matches none, or a file would be in two splits.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for part, patterns in card.files.items():
        files: list[Path] = []
        for pattern in patterns:
            base = Path(Path(pattern).anchor) if Path(pattern).is_absolute() else path.resolve().parent
            relative = Path(pattern).relative_to(base) if Path(pattern).is_absolute() else Path(pattern)
            try:
                matching = sorted(file for file in base.glob(str(relative)) if file.is_file())
            except (ValueError, IndexError, NotImplementedError):  # not a pattern, such as "."
                matching = []
            if not matching:
                raise DataError(
                    f"{path}: files = {pattern!r} matches no file in {base}. Patterns are "
                    "relative to the card."
                )
            files += [file for file in matching if file not in files]
        for other, theirs in found.items():
            for file in set(map(Path.resolve, files)) & set(map(Path.resolve, theirs)):
                raise DataError(f"{path}: {file} is both in files.{other} and in files.{part}.")
        found[part] = tuple(files)
    return found


def _build(
    card: OwnCard, files: dict[str, tuple[Path, ...]], work: Path, out: Path, says: Reporting
) -> Built:
    where = ", ".join(file.name for some in files.values() for file in some)
    text = _read(card, files, work, says)
    quirks = {"rows": int(text.select(pl.len()).collect().item())}
    if not quirks["rows"]:
        raise DataError(f"The files of card {card.name!r} hold no row. Give others, then: {says.command}")
    quirks |= check_readable(text, card, where, says.command)
    unit = time_unit(text, card.time, where, says.command) if card.time else ""
    table = _converted(card, text)
    rows, dropped = _kept(card, table)
    quirks |= dropped
    says.report(_reading(quirks, where))
    if sum(dropped.values()) == quirks["rows"]:
        if dropped.get("rows_in_no_split"):
            raise _in_no_split(card, table, where, says.command)
        raise DataError(f"No row of {where} is left. Mend the files or the card, then: {says.command}")
    if not (card.time or card.split or "train" in card.files):
        says.report(f"No `time` and no `split`: the rows of each {card.cluster} go to one split, 80/10/10.")
    cuts = cut_dates(rows, TIME, SHARES) if card.time else None
    return write_table(
        _splits(card, rows, cuts),
        card.schema,
        work=work,
        out=out,
        says=says,
        least_rows=card.least_rows,
        quirks=quirks,
        periods=periods(cuts, unit) if cuts else {},
    )


def _read(card: OwnCard, files: dict[str, tuple[Path, ...]], work: Path, says: Reporting) -> pl.LazyFrame:
    """Read the columns that the card names, as texts, into one file."""
    sequences = {name for name, f in card.fields.items() if f.kind == "sequence"}
    columns = {name: name in sequences for name in _columns(card)}
    raw = work / "rows.parquet"
    says.progress("read", 0, 0)
    parted = [
        scan(some, columns, says.command).with_columns(pl.lit(part or "all").alias(PART))
        for part, some in files.items()
    ]
    pl.concat(parted).sink_parquet(raw, compression="zstd", compression_level=1)
    return pl.scan_parquet(raw)


def _converted(card: OwnCard, text: pl.LazyFrame) -> pl.LazyFrame:
    """Convert the texts to fields, labels, the cluster, TIME and PART."""
    wanted = [field_column(name, f) for name, f in card.fields.items()]
    wanted += [label_column(name, task) for name, task in card.tasks.items()]
    if card.cluster not in card.fields:
        wanted.append(field_column(card.cluster, OwnField(kind="categorical")))
    if card.time:
        wanted.append(time_column(card.time).alias(TIME))
    if card.split:
        wanted.append(pl.col(card.split).str.strip_chars().str.to_lowercase().alias(PART))
    return text.select(*wanted, *([] if card.split else [PART]))


def _kept(card: OwnCard, table: pl.LazyFrame) -> tuple[pl.LazyFrame, dict[str, int]]:
    """Drop rows that cannot be used; return the others, and how many were dropped for which reason."""
    drops = {
        "rows_without_label": pl.all_horizontal(pl.col(name).is_null() for name in card.tasks),
        "rows_without_cluster": pl.col(card.cluster).is_null(),
    }
    if card.time:
        drops["rows_without_time"] = pl.col(TIME).is_null()
    if card.split:
        drops["rows_in_no_split"] = ~pl.col(PART).is_in(SPLITS).fill_null(False)
    kept, counts = pl.lit(True), {}
    for name, drop in drops.items():  # each row is counted for one reason, the first
        counts[name] = (kept & drop).sum()
        kept = kept & ~drop
    return table.filter(kept), table.select(**counts).collect(engine="streaming").row(0, named=True)


def _in_no_split(card: OwnCard, table: pl.LazyFrame, where: str, command: str) -> DataError:
    """Return the error for a table of which no row is in a split, as where the card names another column."""
    held = table.select(pl.col(PART).drop_nulls().first()).collect(engine="streaming").item()
    return DataError(
        f"{where}: column {card.split!r} holds {held!r}, and no row train, validation or test. Mend the card "
        f"(without `split` and `time`, the rows of each {card.cluster} go to one split): {command}"
    )


def _columns(card: OwnCard) -> list[str]:
    """List the columns to read, each once."""
    names = [*card.fields, card.cluster, card.time, card.split]
    for name, task in card.tasks.items():
        names += [task.label or name, task.where]
    return list(dict.fromkeys(name for name in names if name))


def _splits(
    card: OwnCard, rows: pl.LazyFrame, cuts: tuple[float, float] | None
) -> dict[SplitName, pl.LazyFrame]:
    """Split by time at the cuts, by the column or files of the card, or by a hash of the cluster."""
    part = pl.col(PART)
    if cuts:
        first, second = cuts
        is_train, is_test = pl.col(TIME) < first, pl.col(TIME) >= second
        is_validation = ~is_train & ~is_test
    elif card.split or "train" in card.files:
        is_train, is_validation, is_test = (part == split for split in SPLITS)
        if not card.split and "validation" not in card.files:  # cut from train, whole clusters
            held_out = hashed(card.cluster, SHARES[1])
            is_train, is_validation = is_train & ~held_out, is_train & held_out
    else:
        is_train = hashed(card.cluster, SHARES[0])
        is_validation = ~is_train & hashed(card.cluster, SHARES[1] / (1 - SHARES[0]), salt=1)
        is_test = ~is_train & ~is_validation
    chosen = dict(zip(SPLITS, (is_train, is_validation, is_test), strict=True))
    return {split: rows.filter(mask).drop(PART, TIME, strict=False) for split, mask in chosen.items()}


def _reading(quirks: dict[str, int], where: str) -> str:
    """Summarise in one line what was read."""
    dropped = [
        f"{count:,} {name.replace('_', ' ')}" for name, count in quirks.items() if name != "rows" and count
    ]
    return f"Read {quirks['rows']:,} rows of {where}" + (f"; {', '.join(dropped)}." if dropped else ".")
