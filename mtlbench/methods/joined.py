"""The fields of a batch side by side, of which a network's first layer multiplies no more than it must.

With x = [e_1, ..., e_F, v], embedded fields and given numbers, and W = [W_1, ..., W_F, W_v] likewise,

    x W^T  =  sum_f e_f W_f^T  +  v W_v^T

Where a batch holds few ids of a field, e_f W_f^T is multiplied once an id and added once a row; backward,
gradients are added up once an id before they are multiplied. It is the same sum in another order. The
gradient of v nobody asks for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, embedding_bag

from mtlbench.methods import products
from mtlbench.methods.products import between, here, product

FEW = 0.6
"""Distinct ids of a field, as a share of the batch's rows, up to which they are multiplied once an id."""
PAYS = 16
"""Width of an embedding above which that can pay: up to it, to add costs more than to multiply."""


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
    joined.made_of, joined.made = (fields, others, numeric, distinct), x._version
    return joined


class Joined(Tensor):
    """All side by side, which also knows how it was joined; what is computed from it is a plain tensor.

    A product with it is one with what it is made of: the gradient goes there, and not through the whole. Who
    wants that of the whole computes with a `clone()`.

    Attributes:
        made_of: the arguments of `join`.
        made: its version then; another one if it was written to.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # as nn.Parameter
    made_of: tuple[Tensor, Sequence[Tensor], Tensor, Distinct | None]
    made: int

    def times(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x W^T + b, of W (out, width)."""
        made: Tensor = _Affine.apply(*self._parts, weight, bias)  # type: ignore[no-untyped-call]
        return made

    @property
    def sound(self) -> bool:
        """Whether it is still what it was made of, and nobody waits for its gradient."""
        return self._version == self.made and not self._backward_hooks and not self.retains_grad

    @property
    def taken_apart(self) -> bool:
        """Whether it has been multiplied already; from then on even a small product costs less that way."""
        return "_parts" in self.__dict__

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, "_ByRow", "_ById | None"]:
        """What is learned of it, row by row (batch, n) and id by id (id, dim), and where it is."""
        fields, others, numeric, distinct = self.made_of
        _, number, dim = fields.shape
        runs = {} if distinct is None else few(distinct)
        columns = [slice(f * dim, (f + 1) * dim) for f in range(number)]
        left = [f for f in range(number) if f not in runs]
        once, by_id = fields.new_empty(0, dim), None
        if distinct is not None and runs:
            places, own = distinct.places, tuple(runs.values())
            fields, once = _Picked.apply(distinct.rows, places[:, left], own)  # type: ignore[no-untyped-call]
            by_id = _ById.of(places[:, list(runs)], own, tuple(columns[f] for f in runs))
        learned = fields.flatten(start_dim=1)
        if others:
            learned = torch.cat([learned, *others], dim=1)
        beside = _merged([*(columns[f] for f in left), slice(number * dim, self.shape[1])])
        given = torch.cat([learned.detach(), numeric], dim=1) if runs else self.detach()
        return learned, once, _ByRow(given, learned.shape[1], beside), by_id


def few(distinct: Distinct) -> dict[int, slice]:
    """The fields that it pays to multiply once an id, and which of the distinct rows are their own."""
    batch, number = distinct.places.shape
    most = batch * min(FEW, 1 - PAYS / distinct.rows.shape[1])
    if not number or most <= 0:
        return {}
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
        for run, part in zip(ctx.runs, _parts_of(ctx.runs), strict=True):
            gradient[run] += of_runs[part]
        return gradient, None, None


@dataclass(frozen=True)
class _ByRow:
    """What is multiplied once a row.

    Attributes:
        given: (batch, m) embeddings, then the numbers; has no gradient.
        learned: how many columns of it are embeddings.
        columns: where that stands in x.
    """

    given: Tensor
    learned: int
    columns: tuple[slice, ...]

    def of(self, weight: Tensor) -> Tensor:
        """What of W (out, width) it is multiplied with: (out, m)."""
        if len(self.columns) == 1:
            return weight[:, self.columns[0]].contiguous()
        return torch.cat([weight[:, column] for column in self.columns], dim=1)

    def put(self, own: Tensor, weight: Tensor) -> None:
        """Write what `of` takes, (out, m), to where it takes it from."""
        widths = [weight[0, column].numel() for column in self.columns]
        for column, part in zip(self.columns, torch.split(own, widths, dim=1), strict=True):
            weight[:, column] = part

    def between(self, gradient: Tensor) -> Tensor:
        """gradient^T given, (out, m); oneDNN wants one of both laid out anew, ours serves all layers."""
        if not products.ONEDNN or self.given.shape[1] >= 2 * gradient.shape[1]:
            return between(gradient, self.given)
        return product(self._turned, gradient.t()).t()

    @cached_property
    def _turned(self) -> Tensor:
        return self.given.t().contiguous()


@dataclass(frozen=True, slots=True)
class _ById:
    """What is multiplied once an id: some fields, whose ids stand one field below the other.

    Attributes:
        columns: of each field, where it stands in x.
        parts: of each field, which ids are its own.
        ids: (batch, field) the ids of each row.
        owners: (batch * field,) the rows that have an id, id by id.
        starts: (id,) where those of each id start.
    """

    columns: tuple[slice, ...]
    parts: tuple[slice, ...]
    ids: Tensor
    owners: Tensor
    starts: Tensor

    @classmethod
    def of(cls, places: Tensor, runs: Sequence[slice], columns: tuple[slice, ...]) -> "_ById":
        """Of places (batch, field) in distinct rows, of which each field has a run of its own."""
        parts = _parts_of(runs)
        ids = places - torch.tensor([run.start - part.start for run, part in zip(runs, parts, strict=True)])
        flat, number = ids.flatten(), parts[-1].stop
        counts = torch.bincount(flat, minlength=number)
        # NumPy sorts short integers by radix, ten times as fast.
        order = np.argsort(flat.numpy().astype(np.min_scalar_type(number)), kind="stable")
        return cls(columns, parts, ids, torch.from_numpy(order // len(runs)), counts.cumsum(0) - counts)

    @property
    def fields(self) -> Iterator[tuple[slice, slice]]:
        """Columns and ids of each."""
        return zip(self.columns, self.parts, strict=True)

    def by_row(self, of_ids: Tensor) -> Tensor:
        """Add up once a row: (id, n) to (batch, n)."""
        return embedding_bag(self.ids, of_ids, mode="sum")

    def by_id(self, of_rows: Tensor) -> Tensor:
        """Add up once an id: (batch, n) to (id, n)."""
        return embedding_bag(self.owners, of_rows, self.starts, mode="sum")


class _Affine(torch.autograd.Function):
    """x W^T + b, of what is learned row by row and id by id."""

    @staticmethod
    def forward(
        ctx: Any,
        learned: Tensor,
        once: Tensor,
        by_row: _ByRow,
        by_id: _ById | None,
        weight: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        own = by_row.of(weight)
        y = product(by_row.given, own, bias)
        if by_id is not None:
            of_ids = y.new_empty(len(once), len(weight))
            for column, part in by_id.fields:
                torch.mm(once[part], weight[:, column].t(), out=of_ids[part])
            y += by_id.by_row(of_ids)
        # What was given too, though it is at hand: autograd then sees whether it has been written to.
        ctx.save_for_backward(by_row.given, own[:, : by_row.learned].contiguous(), once, weight)
        ctx.by = by_row, by_id
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        _, own, once, weight = ctx.saved_tensors
        by_row, by_id = ctx.by
        of_weight, of_once = torch.empty_like(weight), torch.empty_like(once)
        by_row.put(by_row.between(gradient), of_weight)
        if by_id is not None:
            of_ids = by_id.by_id(gradient)
            for column, part in by_id.fields:
                torch.mm(of_ids[part], weight[:, column], out=of_once[part])
                of_weight[:, column] = (once[part].t() @ of_ids[part]).t()
        of_learned, *_, of_bias = ctx.needs_input_grad
        return (
            product(gradient, own.t()) if of_learned else None,
            of_once,
            None,
            None,
            of_weight,
            gradient.sum(dim=0) if of_bias else None,
        )


def _parts_of(runs: Sequence[slice]) -> tuple[slice, ...]:
    """Where runs are once they stand one below the other."""
    ends = accumulate((run.stop - run.start for run in runs), initial=0)
    return tuple(slice(start, end) for start, end in pairwise(ends))


def _merged(slices: Sequence[slice]) -> tuple[slice, ...]:
    """Neighbours as one."""
    merged = [slices[0]]
    for one in slices[1:]:
        if one.start == merged[-1].stop:
            merged[-1] = slice(merged[-1].start, one.stop)
        else:
            merged.append(one)
    return tuple(merged)
