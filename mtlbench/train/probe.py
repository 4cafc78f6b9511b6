"""Looks inside a network while it learns; `diagnostics` describes what they find.

A run has a bounded number of looks. Each is at train rows drawn anew, the same for all methods of a seed, in
scoring mode, with a copy of the method that borrows a replica's weights. Nothing here affects training: no
gradient or buffer of the stack is written, and no generator but the probe's own is drawn from.

Here an embedding's gradient is that of its row of the table, however many rows of the probe hold the id.

A rare task's gradient comes from its few positives, so gradients and affinity are rough estimates, only good
in the mean over looks. They use enough rows to expect `EXPECTED` positives (or negatives, if rarer) of each
task, except tasks that would need more than `MOST_ROWS`, or more than all looks of the run have together. If
that takes n times the rows of an ordinary look, only every n-th look includes gradients, from the first on. A
task with fewer than `FEWEST` positives or negatives among the rows has neither cosine nor affinity.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import embedding

from mtlbench.methods.base import Inputs, Method
from mtlbench.methods.layers import ACTIVATIONS
from mtlbench.train.backward import reach
from mtlbench.train.diagnostics import agreement, dead_units, fewest, gates, plain, told, without
from mtlbench.train.matrices import Batch, Matrices
from mtlbench.train.randomness import generator
from mtlbench.train.stack import Stack

T = TypeVar("T")
PROBE_ROWS = 1536
"""Minimum number of rows per look, on average over a run; large data use `SHARE` of the train rows."""
SHARE = 1 / 200
MOST_ROWS = 8192
EXPECTED = 32
FEWEST = 20


class _Lent(nn.Module):
    """Wrapper that lets `functional_call` run any function of a method with borrowed weights."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, ask: Callable[[Method], T]) -> T:
        """Return `ask` of the method."""
        return ask(self.method)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The rows of one look for a seed: their batch, its distinct ids, and where each id occurs."""

    number: int
    batch: Batch
    ids: tuple[Tensor, Tensor]


class Probe:
    """Looks at the replicas of a stack, one at a time.

    Attributes:
        looks: maximum number of looks at each replica.
    """

    def __init__(self, stack: Stack, data: Matrices, rate: float, looks: int) -> None:
        self.stack, self.data, self.rate, self.looks = stack, data, rate, looks
        self._lent = _Lent(stack.blueprint.build(stack.replicas[0])).to(stack.device).eval()
        self._units = _Units(self._lent.method)
        self._drawn: dict[int, _Drawn] = {}  # seed -> the rows of its last look

    def look(self, position: int, number: int) -> dict[str, Any]:
        """Return all diagnostics of the replica at that position in the stack, as plain, rounded values.

        `number` counts the looks at a run, from 0 on. Undefined values are None. Matrices have tasks in the
        order of the replica. A section that does not apply is absent.
        """
        stack, replica = self.stack, self.stack.replicas[position]
        names = [stack.blueprint.schema.tasks[k].name for k in replica.tasks]
        between = len(names) > 1 and self._between(number)
        drawn = self._draw(replica.seed, number)
        batch, (ids, where) = drawn.batch, drawn.ids
        labels = batch.labels[:, list(replica.tasks)]
        weights = {n: p[position].detach().requires_grad_() for n, p in stack.parameters.items()}
        buffers = {n: b[position].clone() for n, b in stack.buffers.items()}
        rows = [table[ids].requires_grad_() for table in stack.tables[position]]

        def ask(question: Callable[[Method, Inputs], T], leaves: Sequence[Tensor]) -> T:
            lent = dict(zip(weights, leaves, strict=False))
            embedded = tuple(embedding(where, table) for table in leaves[len(weights) :])
            inputs = stack.inputs(embedded, batch.sequence_mask, batch.numeric)
            answer: T = functional_call(
                self._lent, {**lent, **buffers}, (lambda method: question(method, inputs),)
            )
            return answer

        def losses_of(method: Method, inputs: Inputs) -> list[Tensor]:
            # Not stacked: the graph of each would then reach the other tasks' own parameters. In double
            # precision: a step changes the losses by millionths.
            outputs = {task: output.double() for task, output in method(inputs).items()}
            losses = method.losses(outputs, labels.double())
            return [losses[task] for task in method.tasks]

        leaves = [*weights.values(), *rows]
        with self._units.watched() as alive:
            losses = ask(losses_of, leaves)
        binary = [stack.blueprint.schema.tasks[k].kind == "binary" for k in replica.tasks]
        found: dict[str, Any] = {"probe": told(names, binary, labels)}
        if alive:
            found["dead_units"] = dead_units(alive)
        with torch.no_grad():
            shares = ask(lambda method, inputs: method.gate_shares(inputs), leaves)
            matrices = ask(lambda method, _: method.task_matrices(), leaves)
        if shares:
            called = dict(zip(self._lent.method.tasks, names, strict=True))
            found["gates"] = gates({called[task]: share for task, share in shares.items()})
        if matrices:
            found["task_matrices"] = {name: plain(matrix) for name, matrix in matrices.items()}
        if between:
            few = fewest(binary, labels) < FEWEST
            again = partial(ask, losses_of)
            found |= self._between_tasks(names, few, losses, leaves, len(weights), again)
        return found

    @cached_property
    def _rows(self) -> tuple[int, int]:
        """Number of rows of an ordinary look, and of one that includes gradients."""
        rows, tasks = len(self.data), self.stack.replicas[0].tasks
        usual = min(rows, max(PROBE_ROWS, min(MOST_ROWS, int(SHARE * rows))))
        if len(tasks) == 1:
            return usual, usual
        binary = [self.stack.blueprint.schema.tasks[k].kind == "binary" for k in tasks]
        found = fewest(binary, self.data.labels[:, list(tasks)]).tolist()
        wanted = [min(rows, math.ceil(EXPECTED * rows / number)) for number in found if number]
        most = min(MOST_ROWS, usual * self.looks)
        return usual, max([usual, *(number for number in wanted if number <= most)])

    def _between(self, number: int) -> bool:
        """Return whether that look includes gradients."""
        usual, many = self._rows
        return number % math.ceil(many / usual) == 0

    def _draw(self, seed: int, number: int) -> _Drawn:
        """Return the rows of that look; replicas of one seed share them."""
        if seed not in self._drawn or self._drawn[seed].number != number:
            rows = self._rows[self._between(number)]
            order = torch.randperm(len(self.data), generator=generator(seed, "probe", number))
            batch = self.data.batch(order[:rows].to(self.stack.device))
            self._drawn[seed] = _Drawn(number, batch, torch.unique(batch.ids, return_inverse=True))
        return self._drawn[seed]

    def _between_tasks(
        self,
        names: Sequence[str],
        few: Tensor,
        losses: Sequence[Tensor],
        leaves: Sequence[Tensor],
        dense: int,
        again: Callable[[Sequence[Tensor]], list[Tensor]],
    ) -> dict[str, Any]:
        """Return gradients and affinity on the shared parameters; nothing if there are none."""
        of_task, shared = reach(losses, leaves)
        if not shared:
            return {}
        parts = {"dense": [i for i in shared if i < dense], "embedded": [i for i in shared if i >= dense]}
        gradients = {
            name: agreement(names, torch.cat([_as_rows(of_task, leaves, i) for i in part], dim=1), few)
            for name, part in parts.items()
            if part
        }
        after = []
        with torch.no_grad():
            for gradient in of_task:
                ahead = list(leaves)
                for i in shared:
                    step = gradient[i]
                    if step is not None:
                        ahead[i] = leaves[i] - self.rate * step
                after.append(torch.stack(again(ahead)))
            affinity = 1 - torch.stack(after) / torch.stack(list(losses))  # (stepping task, task looked at)
        return {"gradients": gradients, "affinity": plain(without(affinity, few))}


def _as_rows(of_task: Sequence[Sequence[Tensor | None]], leaves: Sequence[Tensor], i: int) -> Tensor:
    """Return the tasks' gradients on one leaf as rows, (task, number)."""
    rows = [torch.zeros_like(leaves[i]) if row is None else row for row in (g[i] for g in of_task)]
    return torch.stack(rows).flatten(start_dim=1)


class _Units:
    """Records which hidden units of a method are ever nonzero."""

    def __init__(self, method: Method) -> None:
        self._alive: dict[str, Tensor] | None = None
        for name, layer in method.named_modules():
            if type(layer) in ACTIVATIONS.values():
                layer.register_forward_hook(self._note(name))

    @contextmanager
    def watched(self) -> Iterator[dict[str, Tensor]]:
        """Yield layer -> (unit,) whether it was nonzero on any row, over all calls within the block."""
        self._alive = {}
        try:
            yield self._alive
        finally:
            self._alive = None

    def _note(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            if self._alive is not None:
                alive = (output.detach() != 0).flatten(end_dim=-2).any(dim=0)
                self._alive[name] = alive | self._alive.get(name, alive)

        return note
