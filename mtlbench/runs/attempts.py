"""Attempts at runs: one process at a time, with checkpoints to go on from when it is killed."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mtlbench.config import RunSpec
from mtlbench.files import LOCK, alone_in
from mtlbench.home import Home


def hold(held: ExitStack, folder: Path, *, wait: bool) -> bool:
    """Hold the folder of a run that is to be trained, unless another process does."""
    try:
        held.enter_context(_claim(folder, wait=wait))
    except BlockingIOError:
        return False
    return True


@contextmanager
def _claim(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the folder of an attempt, removed if the block succeeds; if it raises, its checkpoints stay."""
    with alone_in(folder, wait=wait):
        yield
        for left in folder.iterdir():
            if left.name != LOCK:
                shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):  # not empty: another process is at it already
        folder.rmdir()


def forget_attempts(home: Home, dataset: str, spec: RunSpec) -> None:
    """Remove what a killed attempt has left of a run that is done, such as the checkpoints of its stack."""
    folder = home.training(dataset) / spec.hash
    if folder.exists():
        with suppress(OSError), _claim(folder):  # held, where another process trains it again
            pass
