"""The order of rows: all of them once, the same for a seed, and if asked from a few places at a time."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from mtlbench.train.order import BLOCKS, epoch_order, steps
from mtlbench.train.randomness import generator

CPU = torch.device("cpu")


def whole(seed: int, epoch: int, rows: int, shuffle_rows: int) -> Tensor:
    return torch.cat(list(epoch_order(seed, epoch, rows, shuffle_rows)))


@pytest.mark.parametrize(
    ("rows", "shuffle_rows"), [(1000, 0), (1000, 160), (1003, 161), (1003, 1002), (1003, 5000), (7, 3)]
)
def test_an_epoch_has_every_row_once(rows: int, shuffle_rows: int) -> None:
    assert whole(0, 0, rows, shuffle_rows).sort().values.equal(torch.arange(rows))


def test_without_windows_the_order_is_one_permutation_an_epoch() -> None:
    """The formula of results that were published before there were windows: their numbers stay."""
    rows, batch, seeds = 600, 64, (3, 5)
    drawn = list(steps(seeds, range(2 * 9), rows, batch, 0, CPU))
    for step, found in enumerate(drawn):
        epoch, place = divmod(step, 9)
        for seed, own in zip(seeds, found, strict=True):
            order = torch.randperm(rows, generator=generator(seed, "order", epoch))
            assert own.equal(order[place * batch : (place + 1) * batch])


@pytest.mark.parametrize("shuffle_rows", [0, 100])
def test_steps_from_the_middle_and_of_one_seed_are_those_of_the_whole(shuffle_rows: int) -> None:
    """After an interruption, or once its neighbours have stopped, a replica goes on with the same rows."""
    together = list(steps((3, 5), range(27), 601, 64, shuffle_rows, CPU))
    assert len(together) == 27
    for begun in (0, 4, 9, 17, 26, 27):
        alone = list(steps((5,), range(begun, 27), 601, 64, shuffle_rows, CPU))
        assert len(alone) == 27 - begun
        assert all(a[0].equal(b[1]) for a, b in zip(alone, together[begun:], strict=True))


def test_windows_are_drawn_anew_for_each_seed_and_epoch() -> None:
    first = whole(0, 0, 1000, 160)
    assert first.equal(whole(0, 0, 1000, 160))
    for other in (whole(0, 1, 1000, 160), whole(1, 0, 1000, 160)):
        assert not first[:160].sort().values.equal(other[:160].sort().values)


def test_consecutive_rows_of_an_epoch_come_from_few_blocks() -> None:
    """So many places are in two windows at most; a block, shifted, is in two stretches of the file's rows."""
    rows, shuffle_rows = 10_007, 160
    length = shuffle_rows // BLOCKS
    most = 2 * 2 * BLOCKS + 1  # one block is cut by train's end
    stretches = whole(0, 0, rows, shuffle_rows) // length
    assert max(len(places.unique()) for places in stretches.unfold(0, shuffle_rows, 1)) <= most
    anywhere = whole(0, 0, rows, 0) // length
    assert min(len(places.unique()) for places in anywhere.unfold(0, shuffle_rows, 1)) > most


def test_windows_end_together_and_the_last_has_other_rows_each_epoch() -> None:
    """So that all seeds of a stack are stacked window by window, and no row is always seen last."""
    windows = [list(epoch_order(0, epoch, 1003, 160)) for epoch in range(2)]
    assert {tuple(map(len, of_epoch)) for of_epoch in windows} == {(160,) * 6 + (43,)}
    first, second = (set(of_epoch[-1].tolist()) for of_epoch in windows)
    assert len(first & second) < 22


def test_a_window_mixes_blocks_from_all_over_train() -> None:
    window = next(epoch_order(0, 0, 100_000, 1600))
    assert len(window) == 1600
    assert window.max() - window.min() > 50_000
    inside_a_block = sum(abs(a - b) < 100 for a, b in pairwise(window.tolist()))
    assert inside_a_block < 2 * len(window) / BLOCKS
