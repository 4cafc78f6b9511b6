"""A file lock that lets one process at a time into a folder and ends with its owner."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def alone(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `lock`, created together with its folder; call `waiting` before waiting for it.

    The owner may remove the file: a process that waited for it then creates a new one. If the system or the
    file system does not support locks, there is no waiting.
    """
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("ab") as stream:
            _wait_for(stream, waiting)
            if _is_still(lock, stream):
                yield
                return


def _wait_for(stream: IO[bytes], waiting: Callable[[], None]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def _is_still(lock: Path, stream: IO[bytes]) -> bool:
    """Return whether the open file is still the one at that path."""
    try:
        return os.path.samestat(lock.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
