"""What a method is given and what it owes: the contract between architectures and the training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from mtlbench.errors import UsageError
from mtlbench.methods.joined import Distinct
from mtlbench.schema import Field, Schema, Task, TaskKind

C = TypeVar("C", bound="NetworkConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Options that all methods share; the defaults are small nets found sane on the Taobao sample.

    Attributes:
        embedding_dim: width of every embedding.
        network: widths of the hidden layers below the towers (of each expert, of each task's network).
        tower: widths of the hidden layers of a task's tower, before its one output.
        activation: of every hidden layer.
        dropout: share of activations dropped after each hidden layer.
        norm: how each hidden layer is normalised before its activation.
        interaction: of the fields: none, `cross` (DCN-v2) or `fm` (factorisation machine, pooled).
        cross_layers: how many, with interaction = cross.
        pooling: of a sequence's ids: their mean, or `attention` to the row's own id of that vocabulary (DIN).
    """

    embedding_dim: int = 8
    network: tuple[int, ...] = (64, 32)
    tower: tuple[int, ...] = (16,)
    activation: Literal["relu", "silu", "gelu", "tanh"] = "relu"
    dropout: float = 0.0
    norm: Literal["layer", "batch", "none"] = "layer"
    interaction: Literal["none", "cross", "fm"] = "none"
    cross_layers: int = 2
    pooling: Literal["mean", "attention"] = "mean"

    def __post_init__(self) -> None:
        if self.embedding_dim < 1 or not self.network or min((*self.network, *self.tower)) < 1:
            raise ValueError("embedding_dim and every width must be at least 1, and network needs a layer")
        if self.cross_layers < 1:
            raise ValueError(f"cross_layers = {self.cross_layers}; at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout}; a share in [0, 1)")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The fields as the model sees them.

    Attributes:
        categorical: fields with one id a row.
        sequences: fields with `length` ids a row.
        numeric: number of numeric columns.
    """

    categorical: tuple[Field, ...]
    sequences: tuple[Field, ...]
    numeric: int

    @classmethod
    def of(cls, schema: Schema) -> "InputSpec":
        """Read it off a schema."""
        return cls(schema.of_kind("categorical"), schema.of_kind("sequence"), len(schema.of_kind("numeric")))


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch for one model; `features.Features` makes of it what a network takes.

    Attributes:
        spec: which field stands where.
        categorical: a table (batch, field, dim) of embedded ids.
        sequence: a table (batch, position, dim) of embedded ids of all sequence fields, side by side.
        sequence_mask: (batch, position) 1 where there is an id, 0 where there is padding.
        numeric: (batch, numeric) scaled values.
        distinct: of each table the categorical embeddings once an id, where that is known; else none.
    """

    spec: InputSpec
    categorical: tuple[Tensor, ...]
    sequence: tuple[Tensor, ...]
    sequence_mask: Tensor
    numeric: Tensor
    distinct: tuple[Distinct, ...] = ()

    def from_table(self, table: int) -> "Inputs":
        """The same as a model sees it that has this embedding table alone."""
        return replace(
            self,
            categorical=(self.categorical[table],),
            sequence=(self.sequence[table],),
            distinct=self.distinct[table : table + 1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a method asks of the tasks.

    Attributes:
        fewest, most: how many; no `most` is any number.
        kinds: which kinds it can learn.
        chain: that some tasks happen only where another did (see `Method.links`).
    """

    fewest: int = 1
    most: int | None = None
    kinds: tuple[TaskKind, ...] = ("binary", "regression")
    chain: bool = False

    def __str__(self) -> str:
        """As a list of methods says it; empty where anything will do."""
        number = (
            f"{self.fewest}"
            if self.most == self.fewest
            else f"{self.fewest}" + (f" to {self.most}" if self.most else " or more")
        )
        tasks = [] if (self.fewest, self.most) == (1, None) else [f"{number} tasks"]
        kinds = [] if len(self.kinds) > 1 else [f"{self.kinds[0]} tasks"]
        return ", ".join([*tasks, *kinds, *(["a chain of tasks"] if self.chain else [])])


class Method(nn.Module):
    """A multi-task architecture: plain PyTorch that knows nothing of optimisers, devices, seeds or files.

    The loop stacks several of them under `torch.func.vmap`, so `forward` must not branch on a tensor's
    value, index by a boolean mask, or draw random numbers (`layers.Dropout` is fed its masks).
    """

    Config: ClassVar[type[NetworkConfig]] = NetworkConfig
    per_task: ClassVar[bool] = False
    """Trained as one independent model a task (then `tasks` has one member), each stopped on its own."""
    needs: ClassVar[Needs] = Needs()
    """What it asks of the tasks; `check` refuses others."""
    replays: ClassVar[bool] = True
    """Whether a step can be captured in a CUDA graph: nothing in it makes the host wait for the device."""
    revision: ClassVar[int] = 1
    """Raised in the commit that may change a number; part of a run's identity."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig) -> None:
        """Build the layers; `config` is an instance of the class's own `Config`."""
        super().__init__()
        self.tasks = tuple(t.name for t in tasks)
        self.kinds = {t.name: t.kind for t in tasks}
        self.units = {t.name: (t.mean, t.deviation) for t in tasks}

    @classmethod
    def tables(cls, tasks: Sequence[Task]) -> int:
        """How many embedding tables the method wants; all start from the same draw."""
        return 1

    @classmethod
    def fitted(cls, config: C, spec: InputSpec, tasks: Sequence[Task]) -> C:
        """The config that models of this dataset are built from, where it depends on the dataset."""
        return config

    @classmethod
    def links(cls, config: C, tasks: Sequence[Task]) -> dict[str, str]:
        """Task -> the one that it takes to have happened wherever it did; none but for funnels."""
        return {}

    @classmethod
    def check(cls, name: str, tasks: Sequence[Task]) -> None:
        """Look whether the tasks are what the method needs.

        Raises:
            UsageError: they are not; the message calls the method by its registered `name`.
        """
        needs = cls.needs
        count = 1 if cls.per_task else len(tasks)
        if not needs.fewest <= count <= (needs.most or count):
            names = ", ".join(t.name for t in tasks)
            raise UsageError(f"{name} needs {needs}; there {'is' if count == 1 else 'are'} {count}: {names}.")
        for task in tasks:
            if task.kind not in needs.kinds:
                raise UsageError(
                    f"{name} needs {needs}, and {task.name} is a {task.kind} task. Leave it out: name the "
                    "tasks to learn (`tasks` in the benchmark file, --task)."
                )

    def dropout_key(self, name: str) -> str:
        """What the masks of the dropout layer `name` are keyed by; layers of one key drop the same units."""
        return name

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map a batch to one output per task, each (batch, 1): a logit, or a value in `units`.

        Further columns beside it are for the method's own `losses`.
        """
        raise NotImplementedError

    def losses(self, outputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Mean loss of each task over its own rows, a scalar: cross-entropy, or squared error in `units`.

        `labels` is (batch, task), NaN where a task is not defined: such rows weigh nothing, and a task
        without a row in the batch has loss 0.
        """
        means = {}
        for k, task in enumerate(self.tasks):
            defined, known = ~labels[:, k].isnan(), labels[:, k].nan_to_num()
            loss = binary_cross_entropy_with_logits if self.kinds[task] == "binary" else mse_loss
            mean, deviation = self.units[task]
            each = loss(outputs[task][:, 0], (known - mean) / deviation, reduction="none")  # (batch,)
            means[task] = (each * defined).sum() / defined.sum().clamp(min=1)
        return means

    def predictions(self, outputs: dict[str, Tensor]) -> Tensor:
        """Probabilities of the binary tasks and values of the others, (batch, task)."""
        columns = []
        for task in self.tasks:
            output, (mean, deviation) = outputs[task][:, 0], self.units[task]
            columns.append(output.sigmoid() if self.kinds[task] == "binary" else mean + deviation * output)
        return torch.stack(columns, dim=-1)

    def penalty(self, inputs: Inputs) -> Tensor:
        """What the method adds to the weighted sum of the task losses: a scalar."""
        return inputs.numeric.new_zeros(())

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """What its gates choose, to look at: task -> (batch, expert) shares that sum to 1 a row.

        Experts stand in one order for all tasks. One that a task cannot see, whatever its gate learns, is
        NaN there; 0 is one that it could see and does not take.
        """
        return {}

    def task_matrices(self) -> dict[str, Tensor]:
        """Learned matrices between tasks, to look at: name -> (task, task), as cross-stitch units."""
        return {}
