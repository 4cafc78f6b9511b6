"""What the prepare stage asks of a dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mtlbench.data.card import Card
from mtlbench.home import Home
from mtlbench.load import SplitName
from mtlbench.schema import Schema

Report = Callable[[str], None]
"""Takes one line for people."""


class Progress(Protocol):
    """Takes how far a stage has come; `total` is 0 where nobody knows."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are behind us."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where words and progress go, and what messages may advise.

    Attributes:
        command: that prepares this dataset anew from a better log or with other settings.
    """

    command: str
    report: Report = lambda line: None
    progress: Progress = lambda stage, done, total: None


@dataclass(frozen=True, slots=True)
class Built:
    """What a recipe leaves beside the matrices it has written.

    Attributes:
        schema: fields and tasks, in the matrices' column order.
        vocabularies: name -> number of indices.
        rows: rows of each split.
        quirks: what was odd in the source, with the number found.
        notes: more for the manifest, such as the line numbers of malformed rows.
        numeric: the numeric matrix of each split before scaling; the guards read it, then it goes.
        absent: numeric field -> the unscaled value that says "nothing there".
        novelty: numeric fields that are all absent where the item was never seen before.
    """

    schema: Schema
    vocabularies: Mapping[str, int]
    rows: Mapping[SplitName, int]
    quirks: Mapping[str, int]
    numeric: Mapping[SplitName, Path]
    absent: Mapping[str, float]
    novelty: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw file, and for a simulated one what sharing was planted to do to each task."""

    path: Path
    truth: Mapping[str, str] = field(default_factory=dict)


class Recipe(Protocol):
    """One way to make a prepared dataset."""

    Settings: type[Any]
    """A frozen dataclass: what the user may choose."""
    simulated: bool
    revision: int
    """Raised in the commit that may change a prepared number."""

    def find(self, home: Home, card: Card, source: Path | None) -> Path | None:
        """The raw file that the user gave or that lies in the raw folder; None where there is none."""

    def fetch(self, home: Home, card: Card, settings: Any, work: Path, says: Reporting) -> Raw:
        """Get the raw file: download it, or simulate it into the scratch folder `work`."""

    def build(self, raw: Raw, settings: Any, work: Path, out: Path, says: Reporting) -> Built:
        """Write the matrices and Parquet files of every split into `out`, numeric ones unscaled."""
