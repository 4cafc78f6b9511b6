"""One process at a time in a folder, by a lock that dies with its owner."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def alone(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `lock`, which is made, together with its folder; `waiting` is told of a wait.

    The owner may remove the file: who waited for it then makes a new one. Where the system or the file
    system has no such locks, nobody waits.
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
    """Whether the open file is the one of that name."""
    try:
        return os.path.samestat(lock.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
