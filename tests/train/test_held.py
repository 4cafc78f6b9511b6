"""What a batch holds of a table is each of its rows once, and gradients are added up a row."""

import pytest
import torch
from torch.nn.functional import embedding
from torch.testing import assert_close

from mtlbench.train.held import Held

ROWS, DIM = 50, 3
REPLICAS, BATCH, COLUMNS = 2, 7, 4


@pytest.mark.parametrize("length", [ROWS, 2**31, 2**31 + 1, 2**40])
@pytest.mark.parametrize("tables", [1, 3])
def test_rows_places_and_owners_say_the_same(tables: int, length: int) -> None:
    """Of tables too long for short numbers too: the last row is among those wanted."""
    torch.manual_seed(0)
    wanted = torch.randint(ROWS, (REPLICAS, tables, BATCH, COLUMNS))
    wanted[0, 0, 0] = length - 1
    held = Held.of(wanted, length)
    rows, places = torch.unique(wanted, return_inverse=True)
    assert_close(held.rows, rows)
    assert_close(held.places, places)
    ends = [*held.starts.tolist(), wanted.numel()][1:]
    for row, start, end in zip(rows, held.starts.tolist(), ends, strict=True):
        assert_close(held.owners[start:end], (wanted.flatten() == row).nonzero().squeeze(1))


@pytest.mark.parametrize("used", [(0,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("tables", [1, 3])
def test_values_are_spread_and_their_gradient_is_the_sum_over_places(
    tables: int, used: tuple[int, ...]
) -> None:
    """A table that nobody uses has none."""
    torch.manual_seed(0)
    wanted = torch.randint(ROWS, (REPLICAS, tables, BATCH, COLUMNS))
    held = Held.of(wanted, ROWS)
    values = torch.randn(len(held.rows), DIM, dtype=torch.float64).requires_grad_()
    up = torch.randn(REPLICAS, BATCH, COLUMNS, DIM, dtype=torch.float64)
    mine, own = held.spread(values), embedding(held.places, values).unbind(dim=1)
    assert_close(mine, own)
    used = tuple(t for t in used if t < tables)
    ours, theirs = (
        torch.autograd.grad(torch.stack([(spread[t] * up) ** 2 for t in used]).sum(), values)
        for spread in (mine, own)
    )
    assert_close(ours, theirs)
