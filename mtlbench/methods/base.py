"""The contract between architectures and the training loop: what a method receives and must provide."""

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
    """Options that all methods share; the defaults are small networks that worked well on the Taobao sample.

    Attributes:
        embedding_dim: width of every embedding.
        network: widths of the hidden layers below the towers (of each expert, of each task's network).
        tower: widths of the hidden layers of a task's tower, before its one output.
        activation: activation function of every hidden layer.
        dropout: share of activations dropped after each hidden layer.
        norm: how each hidden layer is normalised before its activation.
        interaction: feature interaction: none, `cross` (DCN-v2) or `fm` (factorisation machine, pooled).
        cross_layers: number of cross layers, with interaction = cross.
        pooling: how a sequence's ids are pooled: by their mean, or by `attention` to the row's own id of
            that vocabulary (DIN).
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
        categorical: fields with one id per row.
        sequences: fields with `length` ids per row.
        numeric: number of numeric columns.
    """

    categorical: tuple[Field, ...]
    sequences: tuple[Field, ...]
    numeric: int

    @classmethod
    def of(cls, schema: Schema) -> "InputSpec":
        """Return the input spec of a schema."""
        return cls(schema.of_kind("categorical"), schema.of_kind("sequence"), len(schema.of_kind("numeric")))


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch for one model; `features.Features` turns it into the input of a network.

    Attributes:
        spec: the fields and their order.
        categorical: per embedding table, the embedded ids (batch, field, dim).
        sequence: per embedding table, the embedded ids of all sequence fields side by side,
            (batch, position, dim).
        sequence_mask: (batch, position) 1 where there is an id, 0 where there is padding.
        numeric: (batch, numeric) scaled values.
        distinct: per embedding table, each distinct categorical embedding once; empty where not known.
    """

    spec: InputSpec
    categorical: tuple[Tensor, ...]
    sequence: tuple[Tensor, ...]
    sequence_mask: Tensor
    numeric: Tensor
    distinct: tuple[Distinct, ...] = ()

    def from_table(self, table: int) -> "Inputs":
        """Return the batch as seen by a model that has only this embedding table."""
        return replace(
            self,
            categorical=(self.categorical[table],),
            sequence=(self.sequence[table],),
            distinct=self.distinct[table : table + 1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a method requires of the tasks.

    Attributes:
        fewest, most: allowed number of tasks; without `most` there is no upper limit.
        kinds: the kinds of task that the method can learn.
        chain: whether some tasks must happen only where another did (see `Method.links`).
    """

    fewest: int = 1
    most: int | None = None
    kinds: tuple[TaskKind, ...] = ("binary", "regression")
    chain: bool = False

    def __str__(self) -> str:
        """Describe the requirement, as lists of methods show it; empty if there is none."""
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

    The training loop stacks several models under `torch.func.vmap`, so `forward` must not branch on a
    tensor's value, index by a boolean mask, or draw random numbers (`layers.Dropout` is fed its masks).
    """

    Config: ClassVar[type[NetworkConfig]] = NetworkConfig
    per_task: ClassVar[bool] = False
    """Whether to train one independent model per task, each with a single task and stopped on its own."""
    needs: ClassVar[Needs] = Needs()
    """What the method requires of the tasks; `check` refuses others."""
    replays: ClassVar[bool] = True
    """Whether a step can be captured in a CUDA graph: nothing in it makes the host wait for the device."""
    revision: ClassVar[int] = 1
    """Version of the method's numbers, raised in any commit that may change one; part of a run's identity."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig) -> None:
        """Build the layers; `config` is an instance of the class's own `Config`."""
        super().__init__()
        self.tasks = tuple(t.name for t in tasks)
        self.kinds = {t.name: t.kind for t in tasks}
        self.units = {t.name: (t.mean, t.deviation) for t in tasks}

    @classmethod
    def tables(cls, tasks: Sequence[Task]) -> int:
        """Return the number of embedding tables that the method needs; all start from the same draw."""
        return 1

    @classmethod
    def fitted(cls, config: C, spec: InputSpec, tasks: Sequence[Task]) -> C:
        """Return the config to build models from, for methods whose config depends on the dataset."""
        return config

    @classmethod
    def links(cls, config: C, tasks: Sequence[Task]) -> dict[str, str]:
        """Map each task to the task without which it cannot happen; empty except for funnel methods."""
        return {}

    @classmethod
    def check(cls, name: str, tasks: Sequence[Task]) -> None:
        """Check that the tasks are what the method needs.

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
        """Return the key of dropout layer `name`'s masks; layers with the same key drop the same units."""
        return name

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map a batch to one output per task, each (batch, 1): a logit, or a value in `units`.

        Further columns are allowed, for use by the method's own `losses`.
        """
        raise NotImplementedError

    def losses(self, outputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return each task's mean loss (a scalar) over its rows: cross-entropy, or squared error in `units`.

        `labels` is (batch, task), NaN where a task is not defined: such rows have no weight, and a task
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
        """Return the probabilities of binary tasks and the values of the others, (batch, task)."""
        columns = []
        for task in self.tasks:
            output, (mean, deviation) = outputs[task][:, 0], self.units[task]
            columns.append(output.sigmoid() if self.kinds[task] == "binary" else mean + deviation * output)
        return torch.stack(columns, dim=-1)

    def penalty(self, inputs: Inputs) -> Tensor:
        """Return the term that the method adds to the weighted sum of the task losses: a scalar."""
        return inputs.numeric.new_zeros(())

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return the gates' choices for inspection: task -> (batch, expert) shares, each row summing to 1.

        Experts have the same order for all tasks. An expert that a task cannot see, whatever its gate learns,
        is NaN; one that it can see but does not use is 0.
        """
        return {}

    def task_matrices(self) -> dict[str, Tensor]:
        """Return learned matrices between tasks for inspection, such as cross-stitch units, (task, task)."""
        return {}
