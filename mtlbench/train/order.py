"""The order in which training visits the rows: drawn for each (seed, epoch), and dependent on nothing else.

If memory-mapped files do not fit in memory, shuffled rows are far apart and each costs a read of its own.
They may be shuffled within windows instead: train is cut into blocks of consecutive rows, starting at a
random row; a window is `BLOCKS` blocks drawn at random, and its rows are shuffled, so reads come from few
places.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from mtlbench.train.randomness import generator

BLOCKS = 16
"""Blocks per window: enough for rows from all over train, few enough for a block to be worth one read."""


def steps(
    seeds: Sequence[int], wanted: range, rows: int, batch: int, shuffle_rows: int, device: torch.device
) -> Iterator[Tensor]:
    """Yield the rows of each wanted step, counted from 0 over all epochs: (replica, batch), on the device.

    An epoch has only whole batches. A window is sent to the device in one piece: sending the rows of each
    step would make every step wait for the device.
    """
    number = rows // batch
    for epoch in range(wanted.start // number, -(-wanted.stop // number)):
        first = epoch * number
        windows = zip(*(epoch_order(seed, epoch, rows, shuffle_rows) for seed in seeds), strict=True)
        on_device = (torch.stack(window).to(device) for window in windows)
        yield from islice(_cut(on_device, batch), max(0, wanted.start - first), wanted.stop - first)


def epoch_order(seed: int, epoch: int, rows: int, shuffle_rows: int) -> Iterator[Tensor]:
    """Yield every row of train once, one window at a time; the order is the same for all methods of a seed.

    Args:
        seed: seed of the run.
        epoch: counted from 0.
        rows: number of train rows.
        shuffle_rows: rows per window, rounded up to a multiple of `BLOCKS`; 0, or at least `rows`, for one
            window.

    Returns:
        Windows, whose lengths are the same for all seeds.
    """
    draw = generator(seed, "order", epoch)
    if not 0 < shuffle_rows < rows:
        yield torch.randperm(rows, generator=draw)
        return
    length = -(-shuffle_rows // BLOCKS)
    number = rows // length
    shift = torch.randint(rows, (1,), generator=draw)  # else the last block would always have the same rows
    last = torch.tensor([number])  # shorter, so it stays last: windows of all seeds have the same lengths
    starts = torch.cat([torch.randperm(number, generator=draw), last]) * length
    for blocks in torch.split(starts, BLOCKS):
        places = (blocks.unsqueeze(1) + torch.arange(length)).flatten()
        places = places[places < rows]
        yield (places[torch.randperm(len(places), generator=draw)] + shift) % rows


def _cut(windows: Iterator[Tensor], batch: int) -> Iterator[Tensor]:
    """Cut successive windows (replica, row) into batches (replica, batch); drop rows left over at the end."""
    left: Tensor | None = None
    for window in windows:
        rows = window if left is None else torch.cat([left, window], dim=1)
        for start in range(0, rows.shape[1] - batch + 1, batch):
            yield rows[:, start : start + batch]
        left = rows[:, rows.shape[1] // batch * batch :]
