"""What a method is given and what it owes: the contract between architectures and the training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from mtlbench.schema import Field, Schema, Task

C = TypeVar("C", bound="NetworkConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Options that all methods share; the defaults are small nets found sane on the Taobao sample.

    Attributes:
        embedding_dim: width of every embedding.
        network: widths of the hidden layers below the towers (of each expert, of each task's network).
        tower: widths of the hidden layers of a task's tower, before its one output.
        dropout: share of activations dropped after each hidden layer.
        layer_norm: normalise each hidden layer before its ReLU.
    """

    embedding_dim: int = 8
    network: tuple[int, ...] = (64, 32)
    tower: tuple[int, ...] = (16,)
    dropout: float = 0.0
    layer_norm: bool = True

    def __post_init__(self) -> None:
        if self.embedding_dim < 1 or not self.network or min((*self.network, *self.tower)) < 1:
            raise ValueError("embedding_dim and every width must be at least 1, and network needs a layer")
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

    def flat_dim(self, embedding_dim: int) -> int:
        """Width of `Inputs.flat`."""
        return (len(self.categorical) + len(self.sequences)) * embedding_dim + self.numeric


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch for one model.

    Attributes:
        spec: which field stands where.
        categorical: (table, batch, field, dim) embedded ids.
        sequence: (table, batch, position, dim) embedded ids of all sequence fields, side by side.
        sequence_mask: (batch, position) 1 where there is an id, 0 where there is padding.
        numeric: (batch, numeric) scaled values.
    """

    spec: InputSpec
    categorical: Tensor
    sequence: Tensor
    sequence_mask: Tensor
    numeric: Tensor

    def from_table(self, table: int) -> "Inputs":
        """The same as a model sees it that has this embedding table alone."""
        return replace(
            self,
            categorical=self.categorical[table : table + 1],
            sequence=self.sequence[table : table + 1],
        )

    def flat(self, table: int = 0) -> Tensor:
        """All fields side by side, sequences averaged over their ids: (batch, input_dim)."""
        parts = [self.categorical[table].flatten(start_dim=-2)]
        start = 0
        for field in self.spec.sequences:
            end = start + field.length
            mask = self.sequence_mask[:, start:end].unsqueeze(-1)  # (batch, length, 1)
            total = (self.sequence[table, :, start:end] * mask).sum(dim=-2)
            parts.append(total / mask.sum(dim=-2).clamp(min=1))
            start = end
        return torch.cat([*parts, self.numeric], dim=-1)


class Method(nn.Module):
    """A multi-task architecture: plain PyTorch that knows nothing of optimisers, devices, seeds or files.

    The loop stacks several of them under `torch.func.vmap`, so `forward` must not branch on a tensor's
    value, index by a boolean mask, or draw random numbers (`layers.Dropout` is fed its masks).
    """

    Config: ClassVar[type[NetworkConfig]] = NetworkConfig
    per_task: ClassVar[bool] = False
    """Trained as one independent model a task (then `tasks` has one member), each stopped on its own."""
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

    def dropout_key(self, name: str) -> str:
        """What the masks of the dropout layer `name` are keyed by; layers of one key drop the same units."""
        return name

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map a batch to one output per task, each (batch, 1): a logit, or a value in `units`."""
        raise NotImplementedError

    def losses(self, outputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Mean loss of each task over its own rows, (task,): cross-entropy, or squared error in `units`.

        `labels` is (batch, task), NaN where a task is not defined: such rows weigh nothing, and a task
        without a row in the batch has loss 0.
        """
        defined = ~labels.isnan()
        known = labels.nan_to_num()
        means = []
        for k, task in enumerate(self.tasks):
            loss = binary_cross_entropy_with_logits if self.kinds[task] == "binary" else mse_loss
            mean, deviation = self.units[task]
            each = loss(outputs[task][:, 0], (known[:, k] - mean) / deviation, reduction="none")  # (batch,)
            means.append((each * defined[:, k]).sum() / defined[:, k].sum().clamp(min=1))
        return torch.stack(means)

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
