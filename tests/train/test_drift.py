"""Steps that are made up for are the steps of dense Adam."""

import pytest
import torch
from torch.testing import assert_close

from mtlbench.train.drift import Drift
from mtlbench.train.tables import Tables

RATE, BETAS, EPSILON = 1e-2, (0.9, 0.999), 1e-8
STEPS, ROWS, DIM = 700, 40, 3


def gradients(scale: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Which rows each step's batch holds, and the gradient there: some rows come at once, some after long."""
    draws = torch.Generator().manual_seed(3)
    often = torch.linspace(0.002, 0.9, ROWS)
    batches = []
    for step in range(STEPS):
        rows = (
            (torch.rand(ROWS, generator=draws) < (often if step else torch.ones(ROWS) / 2))
            .nonzero()
            .squeeze(1)
        )
        sizes = 10 ** (2 * torch.randn(len(rows), 1, generator=draws).clamp(-2, 2))
        batches.append((rows, scale * sizes * torch.randn(len(rows), DIM, generator=draws).double()))
    return batches


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-8, 1e-10])
def test_a_table_stepped_by_rows_is_one_stepped_by_dense_adam(scale: float) -> None:
    """In double, so that the rule itself is looked at; gradients from far above epsilon to far below."""
    start = torch.randn(ROWS, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    dense = start.clone().requires_grad_()
    adam = torch.optim.Adam([dense], lr=RATE, betas=BETAS, eps=EPSILON)
    whole, first, second = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    tables = Tables((whole, first, second), Drift(RATE, BETAS, EPSILON, step=0))
    (b1, b2), drifted = BETAS, 0.0
    for step, (rows, gradient) in enumerate(gradients(scale), start=1):
        before = dense.detach().clone()
        dense.grad = torch.zeros_like(dense).index_copy(0, rows, gradient)
        adam.step()
        others = torch.ones(ROWS, dtype=torch.bool).index_fill(0, rows, False)
        drifted = max(drifted, (dense - before)[others].abs().max().item())
        assert_close(tables.pick(rows.flip(0)), torch.arange(len(rows)).flip(0))
        values, one, two = tables.picked
        one.mul_(b1).add_((1 - b1) * gradient)
        two.mul_(b2).add_((1 - b2) * gradient**2)
        values -= RATE * one / (1 - b1**step) / ((two / (1 - b2**step)).sqrt() + EPSILON)
        tables.put_back()
        if step in (1, 2, 3, 6, 18, 60, 300, STEPS):
            tables.settle()
            assert (whole - dense).abs().max().item() < 1e-4 * RATE
            assert_close(first, adam.state[dense]["exp_avg"])
            assert_close(second, adam.state[dense]["exp_avg_sq"])
    assert drifted > 0.1 * RATE or scale < EPSILON, "no row moved on by itself: the test shows nothing"


def test_a_table_of_no_drift_is_read_and_stepped_whole() -> None:
    columns = (torch.randn(5, 2), torch.zeros(5, 2), torch.zeros(5, 2))
    tables = Tables(columns, None)
    places = torch.tensor([[3, 3], [0, 1]])
    assert tables.pick(places) is places
    assert tables.picked is columns
