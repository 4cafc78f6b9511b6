"""The schema of a prepared dataset: its fields (inputs), its tasks (outcomes) and its cluster."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mtlbench.errors import unknown

FieldKind = Literal["categorical", "numeric", "sequence"]
TaskKind = Literal["binary", "regression"]

PADDING = 0
"""Index of "nothing here" in every vocabulary: the end of a short sequence, a user without a past."""
OUT_OF_VOCABULARY = 1
"""Index of ids too rare on train to have an embedding of their own."""
FIRST_ID = 2
"""Index of the first id that has an embedding of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """An input column.

    Attributes:
        name: unique among the fields.
        kind: categorical (one index), numeric (scaled on train), or sequence (`length` past ids, padded).
        vocabulary: the vocabulary its indices refer to; fields of one vocabulary share their embeddings.
        length: maximum number of ids in a sequence; 0 for other kinds.
        of: what the value describes ("user", "item", "category", "time", ...); the guards group by it.
        grouped: equal on all rows of a group, and stored once per group.
    """

    name: str
    kind: FieldKind
    vocabulary: str = ""
    length: int = 0
    of: str = ""
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model predicts from a label.

    Attributes:
        name: also the name of its column in the label matrix, which is NaN where the task is not defined.
        kind: binary or regression.
        given: another binary task; metrics are also reported on the rows where that one happened.
        truth: the effect of sharing planted in simulated data: "helps", "harms" or "none".
        optional: left out of a run unless named, because it is a function of another task.
        mean, deviation: of a regression's labels on train; networks predict (label - mean) / deviation.
    """

    name: str
    kind: TaskKind = "binary"
    given: str = ""
    truth: Literal["", "helps", "harms", "none"] = ""
    optional: bool = False
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def metric(self) -> str:
        """Name of the primary metric, the one verdicts are based on; higher is always better."""
        return "r2" if self.kind == "regression" else "auc"

    @property
    def smallest_effect(self) -> float:
        """The smallest gain of the primary metric that matters (delta), in units of that metric."""
        return {"auc": 0.001, "r2": 0.005}[self.metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Fields and tasks in column order, the cluster (which rows belong together), and the time column.

    Sequences and the cluster are always equal within a group of rows. Where no field is grouped, every row
    is a group of its own.
    """

    fields: tuple[Field, ...]
    tasks: tuple[Task, ...]
    cluster: str = "user"
    time: str = ""

    def of_kind(self, kind: FieldKind) -> tuple[Field, ...]:
        """Return the fields of one kind in column order: those stored per row, then those per group."""
        return tuple(sorted((f for f in self.fields if f.kind == kind), key=lambda f: f.grouped))

    @property
    def grouped(self) -> bool:
        """Whether any field is stored once per group of rows; else every row is a group of its own."""
        return any(f.grouped for f in self.fields)

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks' names, in the column order of the label matrix."""
        return tuple(t.name for t in self.tasks)

    def only(self, tasks: Collection[str] = ()) -> "Schema":
        """Return a copy with only these tasks, in schema order.

        If `tasks` is empty, keep those that are not optional, or all of them if every task is optional.

        Raises:
            UsageError: there is no such task.
        """
        for name in tasks:
            if name not in self.task_names:
                raise unknown("task", name, self.task_names)
        named = tasks or [t.name for t in self.tasks if not t.optional] or self.task_names
        chosen = [t for t in self.tasks if t.name in named]
        names = {t.name for t in chosen}
        return replace(self, tasks=tuple(t if t.given in names else replace(t, given="") for t in chosen))

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Schema":
        """Build a schema from the output of `to_json`."""
        return cls(
            fields=tuple(Field(**f) for f in data["fields"]),
            tasks=tuple(Task(**t) for t in data["tasks"]),
            cluster=data["cluster"],
            time=data["time"],
        )
