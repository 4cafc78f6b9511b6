"""Attempts at runs: one process at a time, with checkpoints to resume from if it is killed."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mtlbench.config import RunSpec
from mtlbench.files import LOCK, alone_in
from mtlbench.home import Home


def hold(held: ExitStack, folder: Path, *, wait: bool) -> bool:
    """Lock the folder of a run to be trained, and return whether that succeeded.

    It fails if another process holds the lock and `wait` is False.
    """
    try:
        held.enter_context(_claim(folder, wait=wait))
    except BlockingIOError:
        return False
    return True


@contextmanager
def _claim(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Lock the folder of an attempt; remove it if the block succeeds, keep its checkpoints if it raises."""
    with alone_in(folder, wait=wait):
        yield
        for left in folder.iterdir():
            if left.name != LOCK:
                shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):  # not empty: another process already uses it
        folder.rmdir()


def forget_attempts(home: Home, dataset: str, spec: RunSpec) -> None:
    """Remove what a killed attempt left behind for a finished run, such as the checkpoints of its stack."""
    folder = home.training(dataset) / spec.hash
    if folder.exists():
        with suppress(OSError), _claim(folder):  # locked if another process is training it again
            pass
