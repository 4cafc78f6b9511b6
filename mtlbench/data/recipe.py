"""The contract between the prepare stage and datasets."""

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
"""Function that shows one line of text to the user."""


def _split(value: object) -> object:
    return (
        tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value
    )


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""A setting with several names; separated by commas on the command line."""


class Progress(Protocol):
    """Receives the progress of a stage; `total` is 0 if unknown."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` units of `stage` are done."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """Destinations of messages and progress, and the command that messages may advise.

    Attributes:
        command: command that prepares this dataset again from better files or with other settings.
    """

    command: str
    report: Report = lambda line: None
    progress: Progress = lambda stage, done, total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Description of the matrices that a recipe has written; the numeric ones are not scaled yet.

    Attributes:
        schema: fields and tasks.
        vocabularies: name -> number of indices.
        rows: rows of each split.
        quirks: oddities of the source, with the number found.
        periods: the time that each split covers, in words; empty where it is unknown.
        notes: more for the manifest, such as the line numbers of malformed rows.
        absent: numeric field -> the unscaled value that means "nothing there"; for others that is NaN, which
            becomes the train mean.
        novelty: numeric fields that are all absent if the item was never seen before.
    """

    schema: Schema
    vocabularies: Mapping[str, int]
    rows: Mapping[SplitName, int]
    quirks: Mapping[str, int]
    absent: Mapping[str, float] = field(default_factory=dict)
    novelty: tuple[str, ...] = ()
    periods: Mapping[SplitName, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """The raw files, and for simulated data the planted effect of sharing on each task."""

    files: tuple[Path, ...]
    truth: Mapping[str, str] = field(default_factory=dict)


class Recipe(Protocol):
    """One way to make a prepared dataset."""

    Settings: type[Any]
    """A frozen dataclass of the user's options."""
    simulated: bool
    revision: int
    """Version of the prepared numbers, raised in any commit that may change one."""

    def find(self, home: Home, card: Card, settings: Any, given: Sequence[Path]) -> tuple[Path, ...]:
        """Find the raw files among those that the user gave, else in the raw folder; empty if any is missing.

        Raises:
            DataError: the user gave files, but not all that are needed.
        """

    def fetch(self, home: Home, card: Card, settings: Any, work: Path, says: Reporting) -> Raw:
        """Download the raw files, or simulate them into the scratch folder `work`."""

    def build(self, raw: Raw, settings: Any, work: Path, out: Path, says: Reporting) -> Built:
        """Write the matrices and Parquet files of every split into `out`, numeric fields unscaled."""
