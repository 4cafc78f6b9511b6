"""A first layer that multiplies a field once an id gives what one gives that multiplies every row."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding, linear
from torch.testing import assert_close

from mtlbench.methods import joined, products
from mtlbench.methods.joined import Distinct, Joined, join
from mtlbench.methods.layers import Linear

BATCH, DIM, NUMBERS = 40, 20, 3
FEW, MANY = 4, 35


@pytest.fixture(autouse=True, params=["oneDNN", "torch"])
def _large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product is worth it, on a processor of either kind."""
    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(products, "ONEDNN", request.param == "oneDNN")


class Batch:
    """Fields with so many ids each, one pooled sequence, some numbers; drawn in double precision."""

    def __init__(self, vocabularies: tuple[int, ...]) -> None:
        draws = torch.Generator().manual_seed(1)

        def normal(*size: int) -> Tensor:
            return torch.randn(*size, generator=draws, dtype=torch.float64)

        places, start = [], 0
        for ids in vocabularies:
            places.append(start + torch.arange(BATCH).remainder(ids)[torch.randperm(BATCH, generator=draws)])
            start += ids
        self.places = torch.stack(places, dim=1) if places else torch.empty(BATCH, 0, dtype=torch.int64)
        self.rows = normal(start, DIM).requires_grad_()
        self.pooled, self.numeric = normal(BATCH, DIM).requires_grad_(), normal(BATCH, NUMBERS)
        self.up = normal(BATCH, 5)
        self.width = (len(vocabularies) + 1) * DIM + NUMBERS

    def joined(self, *, known: bool = True) -> Tensor:
        fields = embedding(self.places, self.rows)
        distinct = Distinct(self.rows, self.places) if known else None
        return join(fields, [self.pooled], self.numeric, distinct)

    def plain(self) -> Tensor:
        fields = embedding(self.places, self.rows)
        return torch.cat([fields.flatten(start_dim=1), self.pooled, self.numeric], dim=1)


def layer(width: int, *, bias: bool = True) -> Linear:
    torch.manual_seed(0)
    return Linear(width, 5, bias=bias).double()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "vocabularies", [(FEW, MANY, FEW + 2, FEW, MANY), (FEW, FEW), (MANY, MANY), (MANY,), (FEW,), ()]
)
def test_it_is_the_product_with_all_side_by_side(
    vocabularies: tuple[int, ...], known: bool, bias: bool
) -> None:
    """Values, and the gradients of embeddings, of what was pooled, of weights."""
    batch = Batch(vocabularies)
    first = layer(batch.width, bias=bias)
    leaves = [batch.rows, batch.pooled, *first.parameters()]
    x = batch.joined(known=known)
    assert isinstance(x, Joined)
    mine, own = first(x), linear(batch.plain(), first.weight, first.bias)
    assert_close(mine, own)
    ours, theirs = (
        torch.autograd.grad(y, leaves, batch.up, materialize_grads=True, allow_unused=True)
        for y in (mine, own)
    )
    assert_close(ours, theirs)
    assert ours[2].is_contiguous()


def test_several_layers_and_others_of_one_input_add_their_gradients() -> None:
    """Experts, and a gate that takes the whole as it is."""
    batch = Batch((FEW, MANY))
    layers = [layer(batch.width), layer(batch.width)]

    def result(x: Tensor) -> Tensor:
        assert type(x * 2) is Tensor
        experts: Tensor = layers[0](x).sum() + (layers[1](x) ** 2).sum()
        return experts + (x.softmax(dim=-1) ** 2).sum()

    leaves = [batch.rows, batch.pooled, *chain(*(one.parameters() for one in layers))]
    mine = torch.autograd.grad(result(batch.joined()), leaves)
    assert_close(mine, torch.autograd.grad(result(batch.plain()), leaves))


def test_a_field_of_few_ids_is_multiplied_once_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the products are told to multiply: of 40 rows, and of 4 and 6 ids."""
    seen: list[tuple[int, ...]] = []
    product, mm = products.product, torch.mm

    def noted(made: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def multiply(x: Tensor, *rest: Any, **out: Any) -> Tensor:
            seen.append(tuple(x.shape))
            return made(x, *rest, **out)

        return multiply

    batch = Batch((FEW, MANY, FEW + 2))
    x = batch.joined()
    monkeypatch.setattr(joined, "product", noted(product))
    monkeypatch.setattr(torch, "mm", noted(mm))
    layer(batch.width)(x)
    assert seen == [(BATCH, 2 * DIM + NUMBERS), (FEW, DIM), (FEW + 2, DIM)]


def test_one_that_was_written_to_is_multiplied_as_it_is_now() -> None:
    batch = Batch((FEW, MANY))
    x, first = batch.joined(), layer(batch.width)
    first(x)
    x *= 2
    assert_close(first(x), linear(2 * batch.plain(), first.weight, first.bias))


def test_written_to_after_it_was_multiplied_whole_its_gradient_is_refused() -> None:
    """As autograd refuses that of any tensor."""
    batch = Batch((MANY, MANY))
    x, first = batch.joined(), layer(batch.width)
    y = first(x)
    x *= 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(y, batch.up)


def test_who_waits_for_its_gradient_gets_it() -> None:
    batch = Batch((FEW, MANY))
    first, seen = layer(batch.width), list[Tensor]()
    hooked, kept = batch.joined(), batch.joined()
    hooked.register_hook(seen.append)  # type: ignore[no-untyped-call]
    kept.retain_grad()
    for x in (hooked, kept):
        torch.autograd.backward(first(x), batch.up)
    assert_close(seen[0], batch.up @ first.weight)
    assert_close(kept.grad, batch.up @ first.weight)


def test_without_a_gradient_or_under_vmap_it_is_a_plain_tensor() -> None:
    batch = Batch((FEW, MANY))
    with torch.no_grad():
        assert type(batch.joined(known=False)) is Tensor
    seen = []

    def one(numeric: Tensor) -> Tensor:
        x = join(embedding(batch.places, batch.rows), [batch.pooled], numeric)
        seen.append(isinstance(x, Joined))
        return x

    torch.func.vmap(one)(torch.stack([batch.numeric] * 2))
    assert seen == [False]
