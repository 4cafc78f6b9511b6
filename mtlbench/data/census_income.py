"""Census-Income (KDD): a person's income, marital status and education from a US survey of 1994 and 1995.

The data of Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts", KDD 2018, section 6.2, and of Tang et al., "Progressive Layered Extraction", RecSys
2020. Source, terms, quirks, the split and its reason: datasets/census-income/card.toml
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field as Setting

from mtlbench.data.lines import Column, read_lines
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import Published
from mtlbench.data.splits import hashed
from mtlbench.data.table import write_table
from mtlbench.data.unpack import unpack
from mtlbench.errors import DataError
from mtlbench.load import SplitName
from mtlbench.schema import Field, Schema, Task

ABOUT = {
    "age": "person",
    "class_of_worker": "work",
    "detailed_industry": "work",
    "detailed_occupation": "work",
    "education": "label",
    "wage_per_hour": "money",
    "enrolled_last_week": "person",
    "marital_status": "label",
    "major_industry": "work",
    "major_occupation": "work",
    "race": "person",
    "hispanic_origin": "person",
    "sex": "person",
    "union_member": "work",
    "reason_for_unemployment": "work",
    "full_or_part_time": "work",
    "capital_gains": "money",
    "capital_losses": "money",
    "dividends": "money",
    "tax_filer": "household",
    "previous_region": "migration",
    "previous_state": "migration",
    "family_detailed": "household",
    "household_summary": "household",
    "weight": "survey",
    "migration_msa": "migration",
    "migration_region": "migration",
    "migration_within_region": "migration",
    "same_house_a_year_ago": "migration",
    "previous_sunbelt": "migration",
    "employer_persons": "work",
    "parents_under_18": "household",
    "father_birth_country": "origin",
    "mother_birth_country": "origin",
    "birth_country": "origin",
    "citizenship": "origin",
    "own_business": "work",
    "veteran_questionnaire": "person",
    "veteran_benefits": "person",
    "weeks_worked": "work",
    "year": "time",
    "income_class": "label",
}
"""The 42 columns in file order, and the topic of each."""
FEATURES = tuple(name for name, of in ABOUT.items() if of not in ("label", "survey"))
"""The input columns: no label of a task, nor the weight, which says how many people a row represents."""
NUMERIC = (
    "age",
    "wage_per_hour",
    "capital_gains",
    "capital_losses",
    "dividends",
    "employer_persons",
    "weeks_worked",
)
"""Columns that the documentation calls continuous; the recodes are numbers that stand for categories."""
MONEY = ("wage_per_hour", "capital_gains", "capital_losses", "dividends")
"""Columns of which log(1 + x) is taken: zero for most people and up to 100,000 for a few."""
COLLEGE = (
    "Associates degree-occup /vocational",
    "Associates degree-academic program",
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
)
RICH, POOR = ("50000+.", "50000+"), ("- 50000.", "-50000.", "- 50000", "-50000")
COLUMNS = {
    **dict.fromkeys(ABOUT, Column(pl.String)),
    **dict.fromkeys(NUMERIC, Column(pl.Float64)),
    "weight": Column(pl.Float64),
    "income_class": Column(pl.String, among=(*RICH, *POOR)),
}
SCHEMA = Schema(
    fields=tuple(
        Field(name=name, kind="numeric", of=ABOUT[name])
        if name in NUMERIC
        else Field(name=name, kind="categorical", vocabulary=name, of=ABOUT[name])
        for name in FEATURES
    ),
    tasks=(Task(name="income"), Task(name="marital"), Task(name="education")),
    cluster="row",
)
TRAIN, TEST = (".data", "train"), (".test", "test")
"""Parts of the official files' names."""
TEST_ROWS_FROM = 1_000_000_000
"""First row number of the second file, so that every row has its own number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusSettings:
    """Settings that the user may choose.

    Attributes:
        split: "official" trains on the train file and splits the test file in half, into validation and test;
            "hashed" splits the rows of the given files 70/15/15, for use if one file is missing.
        seed: seed of either draw.
    """

    split: Literal["official", "hashed"] = "official"
    seed: Annotated[int, Setting(ge=0, lt=2**32)] = 0


class CensusIncome(Published):
    """Recipe of Census-Income."""

    Settings = CensusSettings
    revision = 1

    def build(self, raw: Raw, settings: CensusSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Read the files and distribute their rows to the splits."""
        files = [path for file in raw.files for path in unpack(file, work, says, _is_table)]
        chosen = train_and_test(files, settings.split, says.command)
        quirks: dict[str, int] = {}
        notes: dict[str, list[int]] = {}
        people = []
        for number, path in enumerate(chosen):
            name = f"file_{number + 1}"
            lines = read_lines(path, COLUMNS, work / f"{name}.parquet", says.command, names=list(ABOUT))
            counts = lines.frame.select(duplicates=pl.len() - pl.struct(list(ABOUT)).n_unique())
            quirks[f"{name}_rows"], quirks[f"{name}_malformed_rows"] = lines.rows, lines.malformed
            quirks[f"{name}_duplicate_rows"] = int(counts.collect().item())
            notes[f"{name}_malformed_lines"] = list(lines.first_malformed)
            people.append(_people(lines.frame, number * TEST_ROWS_FROM))
        return write_table(
            deal(people, settings), SCHEMA, work=work, out=out, says=says, quirks=quirks, notes=notes
        )


def train_and_test(files: Sequence[Path], split: str, command: str) -> list[Path]:
    """Return the files in the order in which they are read: train, then test.

    Raises:
        DataError: the official split lacks one of them; they are told apart by name, since their format is
            the same.
    """
    # UCI's archive holds both files twice: packed alone, and in a tar.
    once = {(path.name, path.stat().st_size): path for path in files if _is_table(path.name)}
    tables = sorted(once.values(), key=lambda path: path.name)
    train, test = ([p for p in tables if any(w in p.name.lower() for w in words)] for words in (TRAIN, TEST))
    if split == "hashed" and tables:
        return tables
    if len(train) != 1 or len(test) != 1 or train == test:
        given = ", ".join(path.name for path in files) or "nothing"
        raise DataError(
            "Wanted: census-income.data, the official train file, and census-income.test, the official test "
            f"file, packed or not. Given: {given}. Give both: {command}. Without one of them the rows of the "
            "other can be dealt to all splits, which is no official split: add --set split=hashed"
        )
    return [*train, *test]


def deal(people: Sequence[pl.LazyFrame], settings: CensusSettings) -> dict[SplitName, pl.LazyFrame]:
    """Return the rows of each split, in file order."""
    if settings.split == "official":
        train, rest = people
        held_out = hashed("row", 0.5, settings.seed)
        return {"train": train, "validation": rest.filter(held_out), "test": rest.filter(~held_out)}
    together = pl.concat(people)
    test, validation = hashed("row", 0.15, settings.seed), hashed("row", 0.15 / 0.85, settings.seed + 2**32)
    return {
        "train": together.filter(~test & ~validation),
        "validation": together.filter(~test & validation),
        "test": together.filter(test),
    }


def _people(rows: pl.LazyFrame, first: int) -> pl.LazyFrame:
    """Select features, labels and the row's number; "?" means missing."""
    categorical = [name for name in FEATURES if name not in NUMERIC]
    return rows.select(
        row=pl.col("line").cast(pl.Int64) + first,
        **{name: pl.when(pl.col(name) != "?").then(pl.col(name)) for name in categorical},
        **{name: pl.col(name).log1p() if name in MONEY else pl.col(name) for name in NUMERIC},
        income=pl.col("income_class").is_in(RICH).cast(pl.Int8),
        marital=(pl.col("marital_status") == "Never married").cast(pl.Int8),
        education=pl.col("education").is_in(COLLEGE).cast(pl.Int8),
        weight="weight",
    )


def _is_table(name: str) -> bool:
    return not name.lower().endswith((".names", ".md", ".txt", ".html", ".pdf"))


RECIPE = CensusIncome()
