"""The fields of a batch side by side, of which a network's first layer multiplies no more than it must.

With x = [e_1, ..., e_F, v], embedded fields and given numbers, and W = [W_1, ..., W_F, W_v] likewise,

    x W^T  =  sum_f e_f W_f^T  +  v W_v^T

Where a batch holds few ids of a field, e_f W_f^T is multiplied once an id and added once a row; backward,
gradients are added up once an id before they are multiplied. It is the same sum in another order. The
gradient of v nobody asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, embedding_bag

from mtlbench.methods.products import between, here, product

FEW = 0.6
"""Distinct ids of a field, as a share of the batch's rows, up to which they are multiplied once an id."""
PAYS = 10
"""Width of an embedding from which on that can pay: below, to add costs more than to multiply."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """The embeddings of a batch, each once.

    Attributes:
        rows: (row, dim) embeddings; those of a vocabulary stand together.
        places: (batch, field) which of them each field of each row of the batch is.
    """

    rows: Tensor
    places: Tensor


def join(
    fields: Tensor, others: Sequence[Tensor], numeric: Tensor, distinct: Distinct | None = None
) -> Tensor:
    """All side by side, (batch, width).

    Args:
        fields: (batch, field, dim) embeddings.
        others: (batch, dim) each, embeddings that were pooled.
        numeric: (batch, number).
        distinct: of `fields`, where it is known.
    """
    x = torch.cat([fields.flatten(start_dim=1), *others, numeric], dim=1)
    if not here(x) or not (x.requires_grad or distinct):
        return x
    joined = x.as_subclass(Joined)
    joined.made_of = fields, others, numeric, distinct
    return joined


class Joined(Tensor):
    """All side by side, which also knows how it was joined; what is computed from it is a plain tensor.

    Attributes:
        made_of: the arguments of `join`.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl
    made_of: tuple[Tensor, Sequence[Tensor], Tensor, Distinct | None]

    def times(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x W^T + b, of W (out, width)."""
        by_row, by_id = self._parts
        made: Tensor = _Affine.apply(by_row.learned, by_id.rows, weight, bias, by_row, by_id)  # type: ignore[no-untyped-call]
        return made

    @property
    def taken_apart(self) -> bool:
        """Whether it has been multiplied already; from then on even a small product costs less that way."""
        return "_parts" in self.__dict__

    @cached_property
    def _parts(self) -> tuple["_ByRow", "_ById"]:
        fields, others, numeric, distinct = self.made_of
        rows, number, dim = fields.shape
        few = _few(distinct, number, dim)
        left = [f for f in range(number) if f not in few]
        once = fields.new_empty(0, dim)
        if few and distinct is not None:
            fields, once = _Picked.apply(distinct.rows, distinct.places[:, left], list(few.values()))  # type: ignore[no-untyped-call]
        learned = torch.cat([fields.flatten(start_dim=1), *others], dim=1)
        given = torch.cat([learned.detach(), numeric], dim=1)
        columns = [slice(f * dim, (f + 1) * dim) for f in range(number)]
        beside = _merged([*(columns[f] for f in left), slice(number * dim, self.shape[1])])
        by_row = _ByRow(learned, given, beside)
        if not few or distinct is None:
            return by_row, _ById(once, (), (), None)
        ends = list(accumulate((ids.stop - ids.start for ids in few.values()), initial=0))
        moved = torch.tensor([end - ids.start for end, ids in zip(ends, few.values(), strict=False)])
        bags = _Bags.of(distinct.places[:, list(few)] + moved, ends[-1])
        own = tuple(slice(start, end) for start, end in pairwise(ends))
        return by_row, _ById(once, tuple(columns[f] for f in few), own, bags)


def _few(distinct: Distinct | None, number: int, dim: int) -> dict[int, slice]:
    """Fields that are multiplied once an id, and which of the distinct rows are their own."""
    if distinct is None or not number:
        return {}
    most = len(distinct.places) * min(FEW, 1 - PAYS / dim)
    low, high = (ends.tolist() for ends in distinct.places.aminmax(dim=0))
    return {f: slice(low[f], high[f] + 1) for f in range(number) if high[f] - low[f] < most}


class _Picked(torch.autograd.Function):
    """Of distinct embeddings (row, dim) those at some places, (..., dim), and some runs of them as they are.

    As one, so that there is one gradient of all of them and not one of each run.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, runs: Sequence[slice]) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(places)
        ctx.runs, ctx.rows = runs, len(rows)
        return embedding(places, rows), torch.cat([rows[run] for run in runs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, picked: Tensor, of_runs: Tensor) -> tuple[Tensor | None, ...]:
        (places,) = ctx.saved_tensors
        gradient = of_runs.new_zeros(ctx.rows, of_runs.shape[1])
        gradient.index_add_(0, places.flatten(), picked.flatten(end_dim=-2))
        for run, part in zip(ctx.runs, of_runs.split([run.stop - run.start for run in ctx.runs]), strict=True):
            gradient[run] += part
        return gradient, None, None


@dataclass(frozen=True)
class _ByRow:
    """What is multiplied once a row.

    Attributes:
        learned: (batch, n) embeddings.
        given: (batch, m) these, then the numbers; has no gradient.
        columns: where that stands in x.
    """

    learned: Tensor
    given: Tensor
    columns: tuple[slice, ...]

    def of(self, weight: Tensor) -> Tensor:
        """What of W (out, width) it is multiplied with: (out, m)."""
        return torch.cat([weight[:, column] for column in self.columns], dim=1)

    def between(self, gradient: Tensor) -> Tensor:
        """gradient^T given, (out, m); oneDNN wants one of both laid out anew, ours serves all layers."""
        if self.given.shape[1] >= 2 * gradient.shape[1]:
            return between(gradient, self.given)
        return product(self._turned, gradient.t()).t()

    @cached_property
    def _turned(self) -> Tensor:
        return self.given.t().contiguous()


@dataclass(frozen=True, slots=True)
class _ById:
    """Fields that are multiplied once an id.

    Attributes:
        rows: (id, dim) their embeddings, field by field.
        columns: of each field, where it stands in x.
        parts: of each field, which of `rows` are its own.
        bags: who has which id; None without such a field.
    """

    rows: Tensor
    columns: tuple[slice, ...]
    parts: tuple[slice, ...]
    bags: "_Bags | None"


@dataclass(frozen=True, slots=True)
class _Bags:
    """A bipartite graph, of rows of a batch and ids, seen from both sides.

    Attributes:
        ids: (batch, field) the ids of each row.
        owners: (batch * field,) the rows that have an id, id by id.
        starts: (id,) where those of each id start.
    """

    ids: Tensor
    owners: Tensor
    starts: Tensor

    @classmethod
    def of(cls, ids: Tensor, number: int) -> "_Bags":
        """Of ids (batch, field) below `number`."""
        flat = ids.flatten()
        counts = torch.bincount(flat, minlength=number)
        # NumPy sorts short integers by radix, ten times as fast.
        order = np.argsort(flat.numpy().astype(np.min_scalar_type(number)), kind="stable")
        return cls(ids, torch.from_numpy(order // ids.shape[1]), counts.cumsum(0) - counts)

    def by_row(self, of_ids: Tensor) -> Tensor:
        """Add up once a row: (id, n) to (batch, n)."""
        return embedding_bag(self.ids, of_ids, mode="sum")

    def by_id(self, of_rows: Tensor) -> Tensor:
        """Add up once an id: (batch, n) to (id, n)."""
        return embedding_bag(self.owners, of_rows, self.starts, mode="sum")


class _Affine(torch.autograd.Function):
    """x W^T + b."""

    @staticmethod
    def forward(
        ctx: Any,
        learned: Tensor,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        by_row: _ByRow,
        by_id: _ById,
    ) -> Tensor:
        own = by_row.of(weight)
        y = product(by_row.given, own, bias)
        if by_id.bags is not None:
            once = y.new_empty(len(rows), len(weight))
            for column, part in zip(by_id.columns, by_id.parts, strict=True):
                torch.mm(rows[part], weight[:, column].t(), out=once[part])
            y += by_id.bags.by_row(once)
        ctx.save_for_backward(own[:, : learned.shape[1]].contiguous(), rows, weight)
        ctx.by = by_row, by_id
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        own, rows, weight = ctx.saved_tensors
        by_row, by_id = ctx.by
        of_weight, of_rows = torch.empty_like(weight), torch.empty_like(rows)
        made, start = by_row.between(gradient), 0
        for column in by_row.columns:
            into = of_weight[:, column]
            into.copy_(made[:, start : start + into.shape[1]])
            start += into.shape[1]
        if by_id.bags is not None:
            once = by_id.bags.by_id(gradient)
            for column, part in zip(by_id.columns, by_id.parts, strict=True):
                torch.mm(once[part], weight[:, column], out=of_rows[part])
                of_weight[:, column] = (rows[part].t() @ once[part]).t()
        of_learned, _, _, of_bias, _, _ = ctx.needs_input_grad
        return (
            product(gradient, own.t()) if of_learned else None,
            of_rows,
            of_weight,
            gradient.sum(dim=0) if of_bias else None,
            None,
            None,
        )


def _merged(slices: Sequence[slice]) -> tuple[slice, ...]:
    """Neighbours as one."""
    merged = [slices[0]]
    for one in slices[1:]:
        if one.start == merged[-1].stop:
            merged[-1] = slice(merged[-1].start, one.stop)
        else:
            merged.append(one)
    return tuple(merged)
