"""A stack of replicas: several copies of one method along a leading axis, run by one `vmap`.

Replicas differ in seed and, for methods that train one model a task, in the task. The gradient of the summed
losses of a stack is every replica's own gradient, since no replica reads another's weights.
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
from mtlbench.train.matrices import Batch, Layout, Matrices, sent
from mtlbench.train.precision import forward
from mtlbench.train.randomness import generator

EMBEDDING_STD = 0.01
SCORING_ROWS = 8192
RECOMPILATIONS = 64
WIDE = 32
"""Width of embeddings from which on it pays in scoring to find out which ids are there more than once."""
PREFIX = "method."  # what `_Objective` puts before a parameter's name; stored weights go without


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embeddings of a batch.

    Attributes:
        tables: of each table (replica, batch, column, dim).
        places: (replica, table, batch, column) where these are in what they were looked up in.
        rows: (row, dim) that, where it is nothing but the batch's own rows; in training these are then the
            leaves of the graph, else `tables` are.
    """

    tables: tuple[Tensor, ...]
    places: Tensor
    rows: Tensor | None = None


class _Objective(nn.Module):
    """A method and what is computed from it, in one module that `functional_call` can run."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, inputs: Inputs, labels: Tensor | None) -> tuple[Tensor, ...]:
        """Penalty () and each task's loss (), or without labels the predictions (batch, task) alone.

        Losses stay apart, so that the graph of one does not reach what is another task's.
        """
        outputs = self.method(inputs)
        if labels is None:
            return (self.method.predictions(outputs),)
        losses = self.method.losses(outputs, labels)
        return (self.method.penalty(inputs), *(losses[task] for task in self.method.tasks))


class Stack:
    """Replicas of one blueprint, on one device, their weights stacked.

    Attributes:
        replicas: who is in the stack, in the order of the leading axis.
        parameters: name -> (replica, ...) leaf tensors.
        buffers: name -> (replica, ...) running figures of normalisations, updated in place by training.
        tables: (replica, table, row, dim) embeddings; not a part of the autograd graph.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        replicas: Sequence[Replica],
        device: torch.device,
        precision: Precision = "fp32",
        weights: Sequence[Weights] | None = None,
    ) -> None:
        """Of initial weights; or of these, a replica each, which saves drawing large tables for nothing."""
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
        """Embeddings ~ N(0, 0.01^2); all tables of a replica start from the same draw."""
        tables = self.blueprint.method.tables(self.blueprint.tasks(self.replicas[0]))
        drawn = torch.empty(len(self.replicas), tables, self.layout.rows, self.blueprint.config.embedding_dim)
        for replica, mine in zip(self.replicas, drawn, strict=True):
            mine[0].normal_(std=EMBEDDING_STD, generator=generator(replica.seed, "embeddings"))
            mine[1:] = mine[0]
        return drawn.to(self.device)

    def places(self, ids: Tensor) -> Tensor:
        """Where rows of the joint table (replica, batch, column) are in `tables`, seen as one long table.

        Returns:
            (replica, table, batch, column).
        """
        replicas, tables, rows, _ = self.tables.shape
        start = torch.arange(replicas * tables, device=self.device).view(replicas, tables, 1, 1) * rows
        return ids.unsqueeze(1) + start

    def look_up(self, ids: Tensor) -> Embedded:
        """The embeddings of ids (replica, batch, column)."""
        places, long = self.places(ids), self.tables.flatten(end_dim=2)
        return Embedded(gathered(long, places), places)

    def _look_up_once(self, ids: Tensor) -> Embedded:
        """The same for scoring, each row once."""
        held, places = torch.unique(self.places(ids), return_inverse=True)
        rows = self.tables.flatten(end_dim=2).index_select(0, held)
        return Embedded(gathered(rows, places), places, rows)

    def losses(
        self, batch: Batch, embedded: Embedded, step: int, *, learning: bool = True
    ) -> tuple[list[Tensor], Tensor]:
        """Losses of each task and penalties, (replica,) each, of a training batch (replica, batch, ...).

        Without `learning` it is a second look at a batch that has been learned from: the running figures of
        normalisations stay as they are.
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
        """A batch as one model is given it; of each table the embeddings are (batch, column, dim)."""
        categorical = len(self._spec.categorical)
        fields = tuple(table[:, :categorical] for table in tables)
        past = tuple(table[:, categorical:] for table in tables)
        known = tuple(Distinct(one.rows, one.places[:, :categorical]) for one in distinct)
        return Inputs(self._spec, fields, past, mask, numeric, known)

    @property
    def alone(self) -> bool:
        """Whether there is one model, on a CPU, which goes without vmap."""
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
            # Made anew each time: kept, it would be a cycle, and a dead stack would hold its device memory.
            stacked = vmap(self._one)
            if labels is None:
                return stacked(*given)
            return (self._compiled or stacked)(*given, labels)

    def _one(
        self,
        weights: Weights,
        tables: tuple[Tensor, ...],
        mask: Tensor,
        numeric: Tensor,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """What is computed of one replica: losses, or without labels predictions."""
        inputs = self.inputs(tables, mask, numeric)
        result: tuple[Tensor, ...] = functional_call(self._objective, weights, (inputs, labels))
        return result

    def compile(self) -> None:
        """Compile the forward and backward pass of training, at the first step; until replicas leave.

        Another number of replicas would take another minute. What cannot be compiled runs as it is written.
        """
        import torch._dynamo

        # All stacks of a process count together; at its usual limit of 8 torch stops compiling any.
        torch._dynamo.config.recompile_limit = RECOMPILATIONS
        torch._dynamo.config.suppress_errors = True
        self._compiled = torch.compile(vmap(self._one), dynamic=False)

    @property
    def replays(self) -> bool:
        """Whether a step asks nothing of the host: neither dropout masks nor what the method waits for."""
        return self.blueprint.method.replays and not self._dropouts

    def _run_alone(
        self, weights: Weights, embedded: Embedded, batch: Batch, labels: Tensor | None
    ) -> tuple[Tensor, ...]:
        """As vmap of one, whose rules, and `functional_call`'s checks, cost more than small layers do."""
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
        """Dropout masks keyed by (seed, step, layer), so that a replica's do not depend on the stack."""
        masks = {}
        for name, layer in self._dropouts.items():
            keep = 1 - layer.rate
            layer_key = PREFIX + self._objective.method.dropout_key(name.removeprefix(PREFIX))
            draws = [
                torch.rand(rows, layer.width, generator=generator(r.seed, "dropout", step, layer_key))
                for r in self.replicas
            ]
            masks[f"{name}.mask"] = sent((torch.stack(draws) < keep).float().div_(keep), self.device)
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
        """A copy of one replica's weights, on the CPU."""
        copied = {
            name.removeprefix(PREFIX): p[position].detach().cpu().clone()
            for name, p in (*self.parameters.items(), *self.buffers.items())
        }
        return {**copied, TABLES: self.tables[position].cpu().clone()}

    def load(self, weights: Sequence[Weights]) -> None:
        """Take the weights of each replica, in the order of the stack; of one alone its tables as they are.

        To copy these would cost as much as to score some thousand rows.
        """
        for name, parameter in (*self.parameters.items(), *self.buffers.items()):
            own = torch.stack([w[name.removeprefix(PREFIX)] for w in weights])
            parameter.data.copy_(own)
        tables = [w[TABLES] for w in weights]
        self.tables = (torch.stack(tables) if len(tables) > 1 else tables[0].unsqueeze(0)).to(self.device)


def gathered(rows: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    """Rows (row, dim) at places (replica, table, ...): of each table (replica, ..., dim)."""
    return tuple(
        rows.index_select(0, one.flatten()).view(*one.shape, rows.shape[1]) for one in places.unbind(dim=1)
    )


def _slots(module: nn.Module) -> dict[str, tuple[dict[str, Tensor | None], str]]:
    """Where a module and those in it look up their parameters and buffers, by full name."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for prefix, owner in module.named_modules():
        for held in (owner._parameters, owner._buffers):
            found |= {f"{prefix}.{key}".lstrip("."): (held, key) for key in held}
    return found
