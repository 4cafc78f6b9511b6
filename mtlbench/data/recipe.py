"""What the prepare stage asks of a dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator

from mtlbench.data.card import Card
from mtlbench.home import Home
from mtlbench.load import SplitName
from mtlbench.schema import Schema

Report = Callable[[str], None]
"""Takes one line for people."""


def _split(value: object) -> object:
    return (
        tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value
    )


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A setting that is several names; on the command line with commas between them."""


class Progress(Protocol):
    """Takes how far a stage has come; `total` is 0 where nobody knows."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are behind us."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where words and progress go, and what messages may advise.

    Attributes:
        command: that prepares this dataset anew from better files or with other settings.
    """

    command: str
    report: Report = lambda line: None
    progress: Progress = lambda stage, done, total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a recipe leaves beside the matrices it has written, whose numeric ones are not scaled yet.

    Attributes:
        schema: fields and tasks.
        vocabularies: name -> number of indices.
        rows: rows of each split.
        quirks: what was odd in the source, with the number found.
        notes: more for the manifest, such as the line numbers of malformed rows.
        absent: numeric field -> the unscaled value that says "nothing there"; for others that is NaN, which
            becomes the train mean.
        novelty: numeric fields that are all absent where the item was never seen before.
    """

    schema: Schema
    vocabularies: Mapping[str, int]
    rows: Mapping[SplitName, int]
    quirks: Mapping[str, int]
    absent: Mapping[str, float] = field(default_factory=dict)
    novelty: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """The raw files, and for simulated ones what sharing was planted to do to each task."""

    files: tuple[Path, ...]
    truth: Mapping[str, str] = field(default_factory=dict)


class Recipe(Protocol):
    """One way to make a prepared dataset."""

    Settings: type[Any]
    """A frozen dataclass: what the user may choose."""
    simulated: bool
    revision: int
    """Raised in the commit that may change a prepared number."""

    def find(self, home: Home, card: Card, settings: Any, given: Sequence[Path]) -> tuple[Path, ...]:
        """The raw files among those that the user gave, else in the raw folder; none where some are missing.

        Raises:
            DataError: the user gave files, and some are missing among them.
        """

    def fetch(self, home: Home, card: Card, settings: Any, work: Path, says: Reporting) -> Raw:
        """Get the raw files: download them, or simulate them into the scratch folder `work`."""

    def build(self, raw: Raw, settings: Any, work: Path, out: Path, says: Reporting) -> Built:
        """Write the matrices and Parquet files of every split into `out`, numeric ones unscaled."""
