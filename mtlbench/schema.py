"""What a prepared dataset holds: fields (inputs), tasks (outcomes), and which column is the cluster."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

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
        vocabulary: whose indices it holds; fields of one vocabulary share their embeddings.
        length: of a sequence, the most ids it holds; 0 otherwise.
        of: what the value describes ("user", "item", "category", "time", ...); the guards group by it.
    """

    name: str
    kind: FieldKind
    vocabulary: str = ""
    length: int = 0
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a model predicts from a label.

    Attributes:
        name: also the name of its column in the label matrix, NaN on rows where it is not defined.
        kind: binary or regression.
        given: another binary task; metrics are also reported on the rows where that one happened.
        truth: on simulated data what sharing was planted to do: "helps", "harms" or "none".
    """

    name: str
    kind: TaskKind = "binary"
    given: str = ""
    truth: Literal["", "helps", "harms", "none"] = ""

    @property
    def metric(self) -> str:
        """The primary metric, which the verdicts are about; higher is better for all of them."""
        return "r2" if self.kind == "regression" else "auc"

    @property
    def smallest_effect(self) -> float:
        """The smallest gain of the primary metric that matters (delta), in units of that metric."""
        return {"auc": 0.001, "r2": 0.005}[self.metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Fields and tasks in column order, the cluster (whose rows belong together), and the time column."""

    fields: tuple[Field, ...]
    tasks: tuple[Task, ...]
    cluster: str = "user"
    time: str = ""

    def of_kind(self, kind: FieldKind) -> tuple[Field, ...]:
        """The fields of one kind, in the column order of that kind's matrix."""
        return tuple(f for f in self.fields if f.kind == kind)

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks' names, in the column order of the label matrix."""
        return tuple(t.name for t in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Schema":
        """The inverse of `to_json`."""
        return cls(
            fields=tuple(Field(**f) for f in data["fields"]),
            tasks=tuple(Task(**t) for t in data["tasks"]),
            cluster=data["cluster"],
            time=data["time"],
        )
