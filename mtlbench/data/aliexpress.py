"""AliExpress search logs of one country: was a shown product clicked, and was it bought?

Li et al., "Improving Multi-Scenario Learning to Rank in E-commerce by Exploiting Task Relationships in the
Label Space", CIKM 2020. Read in the form published by MTReclib: one train.csv and one test.csv per country.
Source, terms, quirks, the split and its reason: datasets/aliexpress-nl/card.toml and its three neighbours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field as Setting

from mtlbench.data.card import Card
from mtlbench.data.lines import Column, header, read_lines
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import Published, lying_in, names
from mtlbench.data.splits import hashed
from mtlbench.data.table import write_table
from mtlbench.data.unpack import unpack
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.schema import Field, Schema, Task

COUNTRIES = ("nl", "es", "fr", "us", "ru")
CATEGORICAL = tuple(f"categorical_{n}" for n in range(1, 17))
NUMERICAL = tuple(f"numerical_{n}" for n in range(1, 64))
LABELS = {"ctr": "click", "ctcvr": "conversion"}
COLUMNS = {
    "search_id": Column(pl.Int64),
    **dict.fromkeys(CATEGORICAL, Column(pl.Int64, optional=True)),
    **dict.fromkeys(NUMERICAL, Column(pl.Float64, optional=True)),
    **dict.fromkeys(LABELS.values(), Column(pl.Int64, optional=True, among=(0, 1))),
}
SCHEMA = Schema(
    fields=(
        *(Field(name=name, kind="categorical", vocabulary=name) for name in CATEGORICAL),
        *(Field(name=name, kind="numeric") for name in NUMERICAL),
    ),
    tasks=(Task(name="ctr"), Task(name="ctcvr", given="ctr")),
    cluster="search_id",
)
REVISION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AliExpressSettings:
    """Settings that the user may choose.

    Attributes:
        validation: share of train's searches that goes to validation.
        seed: seed of the draw of these searches.
    """

    validation: Annotated[float, Setting(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Setting(ge=0, lt=2**63)] = 0


class AliExpress(Published):
    """Recipe of one country."""

    Settings = AliExpressSettings
    revision = REVISION

    def __init__(self, country: str) -> None:
        self.country = country

    def find(
        self, home: Home, card: Card, settings: AliExpressSettings, given: Sequence[Path]
    ) -> tuple[Path, ...]:
        """Return the given files; else the archive in the raw folder, or the files unpacked from it."""
        lying = super().find(home, card, settings, given)
        parts = [lying_in(home.raw(card.name), names(f"{part}.csv")) for part in ("train", "test")]
        return lying or tuple(path for path in parts if path and all(parts))

    def build(self, raw: Raw, settings: AliExpressSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Read train.csv and test.csv; validation is a hashed share of train's searches."""
        for file in raw.files:
            _check_country(file, self.country, says.command)
        tables = [table for file in raw.files for table in unpack(file, work, says, _is_table)]
        quirks: dict[str, int] = {}
        notes: dict[str, list[int]] = {}
        rows = {}
        for name, path in train_and_test(tables, says.command).items():
            lines = read_lines(path, COLUMNS, work / f"{name}-rows.parquet", says.command)
            known = pl.all_horizontal(pl.col(label).is_not_null() for label in LABELS.values())
            counts = lines.frame.select(
                rows_without_label=(~known).sum(),
                conversions_without_click=(known & (pl.col("click") < pl.col("conversion"))).sum(),
            )
            found = {"rows": lines.rows, "malformed_rows": lines.malformed, **_integers(counts)}
            quirks |= {f"{name}_{quirk}": count for quirk, count in found.items()}
            notes[f"{name}_malformed_lines"] = list(lines.first_malformed)
            labels = {task: pl.col(label) for task, label in LABELS.items()}
            rows[name] = lines.frame.filter(known).select(*COLUMNS, **labels).drop(LABELS.values())
        quirks["searches_in_train_and_test"] = _shared(rows["train"], rows["test"])
        held_out = hashed("search_id", settings.validation, settings.seed)
        return write_table(
            {
                "train": rows["train"].filter(~held_out),
                "validation": rows["train"].filter(held_out),
                "test": rows["test"],
            },
            SCHEMA,
            work=work,
            out=out,
            says=says,
            quirks=quirks,
            notes=notes,
        )


def train_and_test(tables: Sequence[Path], command: str) -> dict[str, Path]:
    """Tell the train file from the test file by name, since both have the same format.

    Raises:
        DataError: not exactly one of each.
    """
    fitting = [path for path in tables if "search_id" in header(path)]
    found = {part: [path for path in fitting if part in path.name.lower()] for part in ("train", "test")}
    if any(len(paths) != 1 for paths in found.values()) or found["train"] == found["test"]:
        given = ", ".join(path.name for path in tables) or "nothing"
        raise DataError(
            "Wanted: one train.csv and one test.csv of one country, each with a header line that starts with "
            f"search_id (as AliExpress_XX.zip holds them). Given: {given}. Give the archive, its folder, or "
            f"both files: {command}"
        )
    return {part: paths[0] for part, paths in found.items()}


def _check_country(file: Path, country: str, command: str) -> None:
    """Raise if the file's name or folder belongs to another country."""
    named = re.findall(r"aliexpress_([a-z]{2})(?![a-z])", str(file.resolve()).lower())
    if named and named[-1] in COUNTRIES and named[-1] != country:
        raise DataError(
            f"{file} is of AliExpress_{named[-1].upper()}, wanted: AliExpress_{country.upper()}. Prepare "
            f"aliexpress-{named[-1]}, or give the other file: {command}"
        )


def _is_table(name: str) -> bool:
    return name.lower().endswith((".csv", ".csv.gz"))


def _shared(one: pl.LazyFrame, other: pl.LazyFrame) -> int:
    """Count the searches that are in both."""
    ids = [frame.select(pl.col("search_id").unique()) for frame in (one, other)]
    both = ids[0].join(ids[1], on="search_id", how="semi").select(pl.len())
    return int(both.collect(engine="streaming").item())


def _integers(counts: pl.LazyFrame) -> dict[str, int]:
    return {name: int(n) for name, n in counts.collect(engine="streaming").row(0, named=True).items()}


NL, ES, FR, US = (AliExpress(country) for country in ("nl", "es", "fr", "us"))
