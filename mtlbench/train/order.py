"""The order in which training goes through the rows: drawn anew for each (seed, epoch), and for nothing else.

Rows of memory-mapped files that do not fit in memory are far apart: each costs a read of its own. They may be
shuffled within windows instead. Train is cut into blocks of consecutive rows, from a random row on; `BLOCKS`
blocks drawn at random are a window, and its rows are shuffled, so that what is read comes from few places.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from mtlbench.train.randomness import generator

BLOCKS = 16
"""Of a window: enough for rows from all over train, few enough for a block to be worth reading in one go."""


def steps(
    seeds: Sequence[int], wanted: range, rows: int, batch: int, shuffle_rows: int, device: torch.device
) -> Iterator[Tensor]:
    """The rows of each wanted step, counted from 0 over all epochs: (replica, batch), on the device.

    An epoch has whole batches only. A window is sent to the device in one piece: to send each step's rows
    would make each wait for the device.
    """
    number = rows // batch
    for epoch in range(wanted.start // number, -(-wanted.stop // number)):
        first = epoch * number
        windows = zip(*(epoch_order(seed, epoch, rows, shuffle_rows) for seed in seeds), strict=True)
        on_device = (torch.stack(window).to(device) for window in windows)
        yield from islice(_cut(on_device, batch), max(0, wanted.start - first), wanted.stop - first)


def epoch_order(seed: int, epoch: int, rows: int, shuffle_rows: int) -> Iterator[Tensor]:
    """Every row of train once, a window at a time; the same for all methods of that seed.

    Args:
        seed: of the run.
        epoch: counted from 0.
        rows: of train.
        shuffle_rows: of a window, rounded up to whole blocks; 0, or as many as there are, for one window.

    Returns:
        Windows, of lengths that all seeds share.
    """
    draw = generator(seed, "order", epoch)
    if not 0 < shuffle_rows < rows:
        yield torch.randperm(rows, generator=draw)
        return
    length = -(-shuffle_rows // BLOCKS)
    number = rows // length
    shift = torch.randint(rows, (1,), generator=draw)  # or the same rows would always be the last block's
    last = torch.tensor([number])  # shorter, so that it stays last: windows of all seeds end together
    starts = torch.cat([torch.randperm(number, generator=draw), last]) * length
    for blocks in torch.split(starts, BLOCKS):
        places = (blocks.unsqueeze(1) + torch.arange(length)).flatten()
        places = places[places < rows]
        yield (places[torch.randperm(len(places), generator=draw)] + shift) % rows


def _cut(windows: Iterator[Tensor], batch: int) -> Iterator[Tensor]:
    """Batches (replica, batch) of windows (replica, row), one after another, but for what is left over."""
    left: Tensor | None = None
    for window in windows:
        rows = window if left is None else torch.cat([left, window], dim=1)
        for start in range(0, rows.shape[1] - batch + 1, batch):
            yield rows[:, start : start + batch]
        left = rows[:, rows.shape[1] // batch * batch :]
