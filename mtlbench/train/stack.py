"""A stack of replicas: several copies of one method along a leading axis, run by one `vmap`.

Replicas differ in seed and, for methods that train one model per task, in the task. The gradient of a stack's
summed losses is every replica's own gradient, since no replica reads another's weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mtlbench.config import Precision
from mtlbench.methods.base import Inputs, InputSpec, Method
from mtlbench.methods.joined import Distinct
from mtlbench.methods.layers import Dropout
from mtlbench.train.blueprint import TABLES, Blueprint, Replica, Weights
from mtlbench.train.matrices import Batch, Layout, Matrices, to_device
from mtlbench.train.precision import forward
from mtlbench.train.randomness import generator

EMBEDDING_STD = 0.01
SCORING_ROWS = 8192
RECOMPILATIONS = 64
"""Limit of compilations per process."""
WIDE = 32
"""Embedding width from which looking up each distinct row only once makes scoring faster."""
PREFIX = "method."  # `_Objective` puts it before parameter names; stored weights have names without it


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embeddings of a batch.

    Attributes:
        tables: one tensor (replica, batch, column, dim) per table.
        places: (replica, table, batch, column) index of each embedding in the rows it was looked up in.
        rows: (row, dim) these rows, if they are only the batch's own; in training they are then the leaves of
            the autograd graph, else `tables` are.
    """

    tables: tuple[Tensor, ...]
    places: Tensor
    rows: Tensor | None = None


class _Objective(nn.Module):
    """A method and its losses or predictions, in one module that `functional_call` can run."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, inputs: Inputs, labels: Tensor | None) -> tuple[Tensor, ...]:
        """Return the penalty () and each task's loss (), or without labels the predictions (batch, task).

        Losses are not stacked, so that the graph of one does not reach the other tasks' own parameters.
        """
        outputs = self.method(inputs)
        if labels is None:
            return (self.method.predictions(outputs),)
        losses = self.method.losses(outputs, labels)
        return (self.method.penalty(inputs), *(losses[task] for task in self.method.tasks))


class Stack:
    """Replicas of one blueprint, on one device, their weights stacked.

    Attributes:
        replicas: the members of the stack, in the order of the leading axis.
        parameters: name -> (replica, ...) leaf tensors.
        buffers: name -> (replica, ...) running statistics of normalisations, updated in place by training.
        tables: (replica, table, row, dim) embeddings; not part of the autograd graph.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        replicas: Sequence[Replica],
        device: torch.device,
        precision: Precision = "fp32",
        weights: Sequence[Weights] | None = None,
    ) -> None:
        """Start from initial weights, or from `weights`, one per replica, without drawing tables in vain."""
        self.blueprint, self.replicas, self.device = blueprint, list(replicas), device
        self.precision: Precision = precision
        methods = [blueprint.build(replica) for replica in replicas]
        self._objective = _Objective(methods[0])
        self._spec = InputSpec.of(blueprint.schema)
        self.layout = Layout.of(blueprint.schema, blueprint.vocabularies, device)
        parameters, buffers = stack_module_state([_Objective(method) for method in methods])
        self.buffers = {n: b.detach().to(device) for n, b in buffers.items() if not n.endswith(".mask")}
        self.parameters = {n: p.detach().to(device).requires_grad_() for n, p in parameters.items()}
        self.tables: Tensor
        if weights is None:
            self.tables = self._draw_tables()
        else:
            self.load(weights)
        self._columns = torch.tensor([[r.tasks] for r in replicas], device=device)  # (replica, 1, task)
        self._compiled: Callable[..., tuple[Tensor, ...]] | None = None
        self._slots = _slots(self._objective)
        self._dropouts = {
            name: layer for name, layer in self._objective.named_modules() if isinstance(layer, Dropout)
        }

    def _draw_tables(self) -> Tensor:
        """Draw embeddings ~ N(0, 0.01^2); all tables of a replica start from the same draw."""
        tables = self.blueprint.method.tables(self.blueprint.tasks(self.replicas[0]))
        drawn = torch.empty(len(self.replicas), tables, self.layout.rows, self.blueprint.config.embedding_dim)
        for replica, mine in zip(self.replicas, drawn, strict=True):
            mine[0].normal_(std=EMBEDDING_STD, generator=generator(replica.seed, "embeddings"))
            mine[1:] = mine[0]
        return drawn.to(self.device)

    def places(self, ids: Tensor) -> Tensor:
        """Return where rows of the joint table (replica, batch, column) are in `tables`, as one long table.

        Returns:
            (replica, table, batch, column).
        """
        replicas, tables, rows, _ = self.tables.shape
        start = torch.arange(replicas * tables, device=self.device).view(replicas, tables, 1, 1) * rows
        return ids.unsqueeze(1) + start

    def look_up(self, ids: Tensor) -> Embedded:
        """Look up the embeddings of ids (replica, batch, column)."""
        places, long = self.places(ids), self.tables.flatten(end_dim=2)
        return Embedded(gathered(long, places), places)

    def _look_up_once(self, ids: Tensor) -> Embedded:
        """Look up embeddings for scoring, each distinct row once."""
        held, places = torch.unique(self.places(ids), return_inverse=True)
        rows = self.tables.flatten(end_dim=2).index_select(0, held)
        return Embedded(gathered(rows, places), places, rows)

    def losses(
        self, batch: Batch, embedded: Embedded, step: int, *, learning: bool = True
    ) -> tuple[list[Tensor], Tensor]:
        """Return the losses of each task and the penalties, (replica,) each, for a training batch.

        Its axes are (replica, batch, ...). `learning=False` is for a batch that has already been learned
        from: running statistics of normalisations stay unchanged.
        """
        self._turn(training=True)
        labels = batch.labels.take_along_dim(self._columns, dim=-1)
        buffers = self.buffers if learning else {n: b.clone() for n, b in self.buffers.items()}
        masks = self._masks(step, rows=labels.shape[1])
        penalties, *losses = self._run(batch, embedded, labels, {**buffers, **masks})
        return losses, penalties

    @torch.no_grad()
    def predict(self, matrices: Matrices) -> Tensor:
        """Score a whole split: (replica, row, task), on the CPU, probabilities or values, float32."""
        self._turn(training=False)
        parts = []
        once = self.alone and self.precision == "fp32" and self.blueprint.config.embedding_dim >= WIDE
        look_up = self._look_up_once if once else self.look_up
        for start in range(0, len(matrices), SCORING_ROWS):
            batch = matrices.batch(slice(start, start + SCORING_ROWS))
            everyone = replace(
                batch,
                **{
                    name: getattr(batch, name).expand(len(self.replicas), *getattr(batch, name).shape)
                    for name in ("ids", "sequence_mask", "numeric")
                },
            )
            (scores,) = self._run(everyone, look_up(everyone.ids), None, self.buffers)
            parts.append(scores.cpu())
        return torch.cat(parts, dim=1)

    def inputs(
        self, tables: Sequence[Tensor], mask: Tensor, numeric: Tensor, distinct: Sequence[Distinct] = ()
    ) -> Inputs:
        """Return a batch as one model receives it; the embeddings of each table are (batch, column, dim)."""
        categorical = len(self._spec.categorical)
        fields = tuple(table[:, :categorical] for table in tables)
        past = tuple(table[:, categorical:] for table in tables)
        known = tuple(Distinct(one.rows, one.places[:, :categorical]) for one in distinct)
        return Inputs(self._spec, fields, past, mask, numeric, known)

    @property
    def alone(self) -> bool:
        """Whether there is only one model, on a CPU; it runs without vmap."""
        return len(self.replicas) == 1 and self.device.type == "cpu"

    def _turn(self, *, training: bool) -> None:
        if self._objective.training != training:
            self._objective.train(training)

    def _run(
        self, batch: Batch, embedded: Embedded, labels: Tensor | None, buffers: Weights
    ) -> tuple[Tensor, ...]:
        weights = {**self.parameters, **buffers}
        with forward(self.precision, self.device):
            if self.alone:
                return self._run_alone(weights, embedded, batch, labels)
            given = weights, embedded.tables, batch.sequence_mask, batch.numeric
            # Not kept: it would form a reference cycle, and a dead stack would hold its device memory.
            if labels is None:
                return vmap(self._one)(*given)
            return (self._compiled or vmap(self._one))(*given, labels)

    def _one(
        self,
        weights: Weights,
        tables: tuple[Tensor, ...],
        mask: Tensor,
        numeric: Tensor,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Compute penalty and losses of one replica, or without labels its predictions."""
        inputs = self.inputs(tables, mask, numeric)
        result: tuple[Tensor, ...] = functional_call(self._objective, weights, (inputs, labels))
        return result

    def compile(self) -> None:
        """Compile the forward and backward pass of training at the next step, until replicas leave.

        Compiling for fewer replicas would take another minute. Code that fails to compile runs as it is.
        """
        import torch._dynamo

        # The limit counts all stacks of a process; at the default of 8, torch stops compiling any.
        torch._dynamo.config.recompile_limit = RECOMPILATIONS
        torch._dynamo.config.suppress_errors = True
        self._compiled = torch.compile(vmap(self._one), dynamic=False)

    @property
    def replays(self) -> bool:
        """Whether a step needs nothing from the host: no dropout masks, and a method that can be captured."""
        return self.blueprint.method.replays and not self._dropouts

    def _run_alone(
        self, weights: Weights, embedded: Embedded, batch: Batch, labels: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Run the only replica without vmap and `functional_call`, whose overhead outweighs small layers."""
        for name, tensor in weights.items():
            owner, key = self._slots[name]
            owner[key] = tensor.squeeze(0)
        rows, places = embedded.rows, embedded.places.squeeze(0)
        inputs = self.inputs(
            [table.squeeze(0) for table in embedded.tables],
            batch.sequence_mask.squeeze(0),
            batch.numeric.squeeze(0),
            [] if rows is None else [Distinct(rows, of_table) for of_table in places],
        )
        result = self._objective(inputs, None if labels is None else labels.squeeze(0))
        return tuple(tensor.unsqueeze(0) for tensor in result)

    def _masks(self, step: int, rows: int) -> Weights:
        """Draw dropout masks by (seed, step, layer), so that a replica's do not depend on the stack."""
        masks = {}
        for name, layer in self._dropouts.items():
            keep = 1 - layer.rate
            layer_key = PREFIX + self._objective.method.dropout_key(name.removeprefix(PREFIX))
            draws = [
                torch.rand(rows, layer.width, generator=generator(r.seed, "dropout", step, layer_key))
                for r in self.replicas
            ]
            masks[f"{name}.mask"] = to_device((torch.stack(draws) < keep).float().div_(keep), self.device)
        return masks

    def keep(self, positions: Sequence[int]) -> None:
        """Drop all replicas but those at `positions`; the tensors are new ones."""
        self._compiled = None
        chosen = torch.tensor(positions, device=self.device)
        self.replicas = [self.replicas[i] for i in positions]
        self.parameters = {n: p.detach()[chosen].requires_grad_() for n, p in self.parameters.items()}
        self.buffers = {n: b[chosen] for n, b in self.buffers.items()}
        self.tables, self._columns = self.tables[chosen], self._columns[chosen]

    def weights(self, position: int) -> Weights:
        """Return a copy of one replica's weights, on the CPU."""
        copied = {
            name.removeprefix(PREFIX): p[position].detach().cpu().clone()
            for name, p in (*self.parameters.items(), *self.buffers.items())
        }
        return {**copied, TABLES: self.tables[position].cpu().clone()}

    def load(self, weights: Sequence[Weights]) -> None:
        """Load the weights of each replica, in the order of the stack.

        The tables of a single replica are not copied: that would cost as much as scoring some thousand rows.
        """
        for name, parameter in (*self.parameters.items(), *self.buffers.items()):
            own = torch.stack([w[name.removeprefix(PREFIX)] for w in weights])
            parameter.data.copy_(own)
        tables = [w[TABLES] for w in weights]
        self.tables = (torch.stack(tables) if len(tables) > 1 else tables[0].unsqueeze(0)).to(self.device)


def gathered(rows: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    """Gather rows (row, dim) at places (replica, table, ...): one tensor (replica, ..., dim) per table."""
    return tuple(
        rows.index_select(0, one.flatten()).view(*one.shape, rows.shape[1]) for one in places.unbind(dim=1)
    )


def _slots(module: nn.Module) -> dict[str, tuple[dict[str, Tensor | None], str]]:
    """Map each full parameter or buffer name to the dict, and the key in it, where its module looks it up."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for prefix, owner in module.named_modules():
        for held in (owner._parameters, owner._buffers):
            found |= {f"{prefix}.{key}".lstrip("."): (held, key) for key in held}
    return found
