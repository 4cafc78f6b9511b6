"""The card of a user's own table, read and checked.

# Impressions of our search in April: which were clicked, which were bought.
name = "my-shop"
files = "exports/april-*.parquet"    # CSV, Parquet or NDJSON; or { train = "a.csv", test = "b.csv" }
cluster = "user_id"                  # whose rows belong together
time = "shown_at"                    # split by time, 80/10/10

[fields]
user_id = "categorical"
item_id = "categorical"
price = { kind = "numeric", log = true }
history = { kind = "sequence", vocabulary = "item_id", length = 20 }

[tasks]
click = {}                                          # column `click`, 0 or 1
purchase = { label = "bought", where = "click" }    # defined on clicked rows only
liked = { label = "stars", at_least = 4 }
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Setting

from mtlbench.errors import UsageError, unknown
from mtlbench.load import SPLITS
from mtlbench.schema import Field, FieldKind, Schema, Task, TaskKind

LONGEST_TASK = 40
SEPARATORS = " ,;|"
"""Characters that may separate the ids of a sequence written as text."""
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnField:
    """An input column: `NAME = { kind = "..." }`, or `NAME = "..."` where there is only a kind to give.

    Attributes:
        kind: categorical (ids, as numbers or texts), numeric, or sequence (a list of past ids, the most
            recent last; in a CSV a text with blanks, commas, semicolons or bars between them).
        vocabulary: of ids: fields that name the same vocabulary share embeddings; by default each field has
            its own, of its own name.
        length: largest number of ids of a sequence that are kept, the most recent ones; 1 to 1000.
        log: whether to take log(1 + x) of a numeric field, which must not be negative.
        of: entity that the field describes, such as user or item: some methods and `compare --by cold-start`
            use it to recognise users and items.
    """

    __pydantic_config__ = _STRICT
    kind: FieldKind
    vocabulary: str = ""
    length: Annotated[int, Setting(ge=1, le=1000)] = 20
    log: bool = False
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTask:
    """A column to predict: `NAME = { label = "..." }`, or `NAME = {}` where there is nothing to add.

    Attributes:
        label: the column with the label; by default the one with the task's name.
        kind: binary (0 and 1, or false and true) or regression (a number).
        where: another column of 0 and 1; the task is defined only on rows where that column is 1, and no
        other
            row counts in its loss and metrics (methods for funnels need a task that is defined on all rows).
        at_least: a threshold that turns a number into a binary label: 1 if it is this or more, else 0.
    """

    __pydantic_config__ = _STRICT
    label: str = ""
    kind: TaskKind = "binary"
    where: str = ""
    at_least: float | None = None


def _field(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


def _files(value: object) -> object:
    return {"": [value]} if isinstance(value, str) else {"": value} if isinstance(value, list) else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCard:
    """Description of a table, each row of which is an exposure: something shown to somebody.

    Attributes:
        name: name of the dataset; by default the card's file name without `.toml`.
        files: the CSV, Parquet or NDJSON files, relative to the card: a path that may contain `*`, a list of
            such paths, or, for data that is already split, `{ train = "...", test = "..." }`, with
            `validation` if there is one.
        cluster: the column that tells which rows belong together, usually the user's id; intervals are
            over clusters, since rows of one cluster are not independent.
        time: a column of numbers or ISO dates by which rows are split: the first 80 % are train, the next
            10 % validation, the last 10 % test.
        split: a column that holds train, validation or test for each row; without it, `time` and files by
            split, whole clusters go to a split by a hash, 80/10/10.
        fields: the input columns, one key per column.
        tasks: the tasks to predict, one key per task.
        least_rows: ids with fewer train rows share one embedding for rare ids instead of having their own.
        explained: why a field that predicts a task on its own with an AUC above 0.80 is not a leak, one key
            per field, which may contain `*`; without an explanation, such a field stops the preparation.
        error_above: the AUC of a field on its own that stops the preparation even if explained; 0.5 to 1.
    """

    __pydantic_config__ = _STRICT
    name: str = ""
    files: Annotated[dict[str, Patterns], BeforeValidator(_files), "str | list of str | table"]
    cluster: str
    time: str = ""
    split: str = ""
    fields: dict[str, Annotated[OwnField, BeforeValidator(_field)]]
    tasks: dict[str, OwnTask]
    least_rows: Annotated[int, Setting(ge=1)] = 5
    explained: dict[str, str] = field(default_factory=dict)
    error_above: Annotated[float, Setting(ge=0.5, le=1)] = 0.95

    def __post_init__(self) -> None:
        if not self.fields or not self.tasks:
            raise ValueError("[fields] and [tasks] name at least one column each")
        if set(self.files) != {""} and not {"train", "test"} <= set(self.files) <= set(SPLITS):
            raise ValueError('files is one pattern, a list, or { train = "...", test = "..." }')
        if (set(self.files) != {""}) + bool(self.time) + bool(self.split) > 1:
            raise ValueError("split by files, by `time` or by `split`: give one of them")
        for name, task in self.tasks.items():
            if task.at_least is not None and task.kind != "binary":
                raise ValueError(f"tasks.{name}: at_least makes a binary task")
            if len(name) > LONGEST_TASK:
                raise ValueError(f"tasks.{name}: a name of more than {LONGEST_TASK} characters fits no table")
            for column in {name, task.label or name} & set(self.fields):
                raise ValueError(f"{column!r} is task {name!r} or its label, so it cannot be a field")
        self._check_fields()
        if self.cluster in self.fields and self.fields[self.cluster].kind != "categorical":
            raise ValueError(f"cluster = {self.cluster!r}; as a field it must be categorical")

    def _check_fields(self) -> None:
        """Refuse settings without effect, which are most likely mistakes."""
        ids = [f.vocabulary or name for name, f in self.fields.items() if f.kind != "numeric"]
        for name, f in self.fields.items():
            if f.log and f.kind != "numeric":
                raise ValueError(f"fields.{name}: log is for a numeric field")
            if f.vocabulary and f.kind == "numeric":
                raise ValueError(f"fields.{name}: a numeric field has no vocabulary")
            if f.vocabulary and ids.count(f.vocabulary) < 2:
                raise ValueError(f"fields.{name}: no other field has the vocabulary {f.vocabulary!r}")
        for pattern in self.explained:
            if not any(fnmatchcase(name, pattern) for name in self.fields):
                raise ValueError(f"explained.{pattern}: there is no such field")

    @property
    def schema(self) -> Schema:
        """Fields and tasks in the form that the rest of the program uses."""
        return Schema(
            fields=tuple(
                Field(
                    name=name,
                    kind=f.kind,
                    vocabulary="" if f.kind == "numeric" else f.vocabulary or name,
                    length=f.length if f.kind == "sequence" else 0,
                    of=f.of,
                )
                for name, f in self.fields.items()
            ),
            tasks=tuple(Task(name=name, kind=task.kind) for name, task in self.tasks.items()),
            cluster=self.cluster,
            time=self.time,
        )


def read_own_card(path: Path) -> OwnCard:
    """Read and check the card at `path`.

    Raises:
        UsageError: the card is missing, is not TOML, or has invalid content.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"Card {path} cannot be read ({error.strerror}). An example is in the README."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"Card {path} is no TOML file: {error}.") from error
    if "run" in values and "files" not in values:
        raise UsageError(f"{path} is a benchmark, no card: mtlbench run {path}")
    return own_card(values, path)


def own_card(values: Mapping[str, Any], path: Path) -> OwnCard:
    """Build the card from its parsed TOML, `values`; `path` is for messages and the default name."""
    try:
        return TypeAdapter(OwnCard).validate_python({"name": path.stem, **values})
    except ValidationError as error:
        unexpected = ("unexpected_keyword_argument", "extra_forbidden")  # reported before missing keys
        first = min(error.errors(), key=lambda one: one["type"] not in unexpected)
        place = [str(part) for part in first["loc"]]
        if first["type"] in unexpected and place:
            kinds: dict[str, type[OwnField | OwnTask]] = {"fields": OwnField, "tasks": OwnTask}
            of = kinds[place[0]] if len(place) > 1 else OwnCard
            raise unknown(
                f"key in {path}: {'.'.join(place[:-1])}".rstrip(), place[-1], [f.name for f in fields(of)]
            ) from error
        given = f" = {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
        where = f"{'.'.join(place)}{given}: " if place else ""
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{path}: {where}{message}. An example is in the README, every key in docs/files.md."
        ) from error
