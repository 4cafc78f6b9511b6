"""Concatenated fields of a batch, arranged so that a network's first layer multiplies as little as possible.

With x = [e_1, ..., e_F, v], embedded fields and numeric values, and W = [W_1, ..., W_F, W_v] likewise,

    x W^T  =  sum_f e_f W_f^T  +  v W_v^T

Where a batch holds few ids of a field, e_f W_f^T is multiplied once per id and added once per row; in the
backward pass, gradients are summed per id before they are multiplied. It is the same sum in another order.
The gradient of v is never needed.
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
"""Largest number of distinct ids of a field, as a share of the batch's rows, to multiply once per id."""
PAYS = 16
"""Embedding width above which multiplying once per id can pay: up to it, the additions cost more."""


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct embeddings of a batch.

    Attributes:
        rows: (row, dim) embeddings; those of one vocabulary are adjacent.
        places: (batch, field) index into `rows` of each field of each row of the batch.
    """

    rows: Tensor
    places: Tensor


def join(
    fields: Tensor, others: Sequence[Tensor], numeric: Tensor, distinct: Distinct | None = None
) -> Tensor:
    """Concatenate all inputs to (batch, width).

    Args:
        fields: (batch, field, dim) embeddings.
        others: pooled embeddings, (batch, dim) each.
        numeric: (batch, number).
        distinct: the distinct embeddings in `fields`, if known.
    """
    x = torch.cat([fields.flatten(start_dim=1), *others, numeric], dim=1)
    if not here(x) or not (x.requires_grad or distinct):
        return x
    joined = x.as_subclass(Joined)
    joined.made_of, joined.made = (fields, others, numeric, distinct), x._version
    return joined


class Joined(Tensor):
    """A concatenation that knows its parts; results computed from it are plain tensors.

    A product with it is computed from its parts, so that the gradient goes to them and not through the whole.
    For the gradient with respect to the whole, compute with a `clone()`.

    Attributes:
        made_of: the arguments of `join`.
        made: version of the tensor at that time; it differs from the current one after an in-place write.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # as nn.Parameter
    made_of: tuple[Tensor, Sequence[Tensor], Tensor, Distinct | None]
    made: int

    def times(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x W^T + b, with W (out, width)."""
        made: Tensor = _Affine.apply(*self._parts, weight, bias)  # type: ignore[no-untyped-call]
        return made

    @property
    def sound(self) -> bool:
        """Whether the tensor still equals its parts, and nothing needs its own gradient."""
        return self._version == self.made and not self._backward_hooks and not self.retains_grad

    @property
    def taken_apart(self) -> bool:
        """Whether the parts have been multiplied before; then even a small product is cheaper by parts."""
        return "_parts" in self.__dict__

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, "_ByRow", "_ById | None"]:
        """The learned parts, per row (batch, n) and per id (id, dim), and their positions."""
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
    """Return the fields that pay to multiply once per id, each with its range of the distinct rows."""
    batch, number = distinct.places.shape
    most = batch * min(FEW, 1 - PAYS / distinct.rows.shape[1])
    if not number or most <= 0:
        return {}
    low, high = (ends.tolist() for ends in distinct.places.aminmax(dim=0))
    return {f: slice(low[f], high[f] + 1) for f in range(number) if high[f] - low[f] < most}


class _Picked(torch.autograd.Function):
    """Pick distinct embeddings (row, dim) by place, (..., dim), and by run, unchanged.

    One function does both, so that the embeddings get one gradient instead of one per run.
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
    """The columns of x that are multiplied once per row.

    Attributes:
        given: (batch, m) embeddings, then the numeric values; has no gradient.
        learned: number of columns of `given` that are embeddings.
        columns: positions in x of the columns of `given`.
    """

    given: Tensor
    learned: int
    columns: tuple[slice, ...]

    def of(self, weight: Tensor) -> Tensor:
        """Return the columns of W (out, width) that multiply `given`: (out, m)."""
        if len(self.columns) == 1:
            return weight[:, self.columns[0]].contiguous()
        return torch.cat([weight[:, column] for column in self.columns], dim=1)

    def put(self, own: Tensor, weight: Tensor) -> None:
        """Write `own` (out, m) to the columns of `weight` that `of` reads."""
        widths = [weight[0, column].numel() for column in self.columns]
        for column, part in zip(self.columns, torch.split(own, widths, dim=1), strict=True):
            weight[:, column] = part

    def between(self, gradient: Tensor) -> Tensor:
        """Return gradient^T given, (out, m).

        oneDNN needs a transposed copy of one factor; that of `given` serves all layers.
        """
        if not products.ONEDNN or self.given.shape[1] >= 2 * gradient.shape[1]:
            return between(gradient, self.given)
        return product(self._turned, gradient.t()).t()

    @cached_property
    def _turned(self) -> Tensor:
        return self.given.t().contiguous()


@dataclass(frozen=True, slots=True)
class _ById:
    """The fields that are multiplied once per id, with the ids of all fields in one list, field after field.

    Attributes:
        columns: position of each field in x.
        parts: range of ids of each field.
        ids: (batch, field) the ids of each row.
        owners: (batch * field,) the rows that hold each id, sorted by id.
        starts: (id,) start of each id's rows in `owners`.
    """

    columns: tuple[slice, ...]
    parts: tuple[slice, ...]
    ids: Tensor
    owners: Tensor
    starts: Tensor

    @classmethod
    def of(cls, places: Tensor, runs: Sequence[slice], columns: tuple[slice, ...]) -> "_ById":
        """Build from places (batch, field) in the distinct rows, of which each field has its own run."""
        parts = _parts_of(runs)
        ids = places - torch.tensor([run.start - part.start for run, part in zip(runs, parts, strict=True)])
        flat, number = ids.flatten(), parts[-1].stop
        counts = torch.bincount(flat, minlength=number)
        # NumPy sorts short integers by radix, ten times as fast.
        order = np.argsort(flat.numpy().astype(np.min_scalar_type(number)), kind="stable")
        return cls(columns, parts, ids, torch.from_numpy(order // len(runs)), counts.cumsum(0) - counts)

    @property
    def fields(self) -> Iterator[tuple[slice, slice]]:
        """Columns and ids of each field."""
        return zip(self.columns, self.parts, strict=True)

    def by_row(self, of_ids: Tensor) -> Tensor:
        """Sum per row: (id, n) to (batch, n)."""
        return embedding_bag(self.ids, of_ids, mode="sum")

    def by_id(self, of_rows: Tensor) -> Tensor:
        """Sum per id: (batch, n) to (id, n)."""
        return embedding_bag(self.owners, of_rows, self.starts, mode="sum")


class _Affine(torch.autograd.Function):
    """x W^T + b, from the parts learned per row and per id."""

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
        # `given` is saved although ctx.by holds it: autograd then detects whether it has been written to.
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
    """Return the positions of the runs after they are concatenated."""
    ends = accumulate((run.stop - run.start for run in runs), initial=0)
    return tuple(slice(start, end) for start, end in pairwise(ends))


def _merged(slices: Sequence[slice]) -> tuple[slice, ...]:
    """Merge adjacent slices."""
    merged = [slices[0]]
    for one in slices[1:]:
        if one.start == merged[-1].stop:
            merged[-1] = slice(merged[-1].start, one.stop)
        else:
            merged.append(one)
    return tuple(merged)
