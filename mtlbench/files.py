"""Atomic writes of files and folders, locks that die with their owner, and checksums.

A sealed folder lists its checksums in the format of sha256sum, so `cd FOLDER && sha256sum -c SHA256SUMS`
checks it without mtlbench.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

LOCK = ".lock"
"""Name of the lock file; the process that locks it has exclusive use of the folder."""
SUMS = "SHA256SUMS"


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a scratch folder next to `target`; rename it to `target` if the block succeeds, else remove it.

    A reader never sees a partly written folder; an interrupted writer leaves at most folders whose names
    start with a dot.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        for file in scratch.rglob("*"):
            if file.is_file():
                with file.open("r+b") as stream:  # Windows does not sync a file opened read-only
                    os.fsync(stream.fileno())
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
            target.rename(old / target.name)
            scratch.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            scratch.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system supports it."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_name(wanted: Path) -> Path:
    """Return `wanted`, or if it exists the first of `wanted-2`, `wanted-3`, ... that does not."""
    names = (wanted.with_name(f"{wanted.name}-{i}") for i in itertools.count(2))
    return next(path for path in itertools.chain([wanted], names) if not path.exists())


def _make(folder: Path) -> None:
    """Make a folder; tolerate another process that makes or removes it at the same moment."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        if folder.is_file():
            raise


@contextlib.contextmanager
def alone_in(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Lock a folder, made if missing, against other processes; the lock is released however this one ends.

    The lock file is opened for writing, since network file systems share no other lock between machines.
    Windows has no such lock, and none is taken there.

    Raises:
        BlockingIOError: another process holds the folder and `wait` is False.
    """
    if sys.platform == "win32":
        folder.mkdir(parents=True, exist_ok=True)
        yield
        return
    import fcntl

    path = folder / LOCK
    while True:
        with contextlib.suppress(FileNotFoundError):  # the previous holder has just removed the folder
            _make(folder)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), path.stat()):
                    break
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # the previous holder has removed this file meanwhile: try again
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically. NaN is an error: callers turn it into null."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text atomically: `path` holds the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(scratch).chmod(0o644)  # mkstemp makes files that only their owner can read
        Path(scratch).replace(path)
        _sync(path.parent)
    finally:
        Path(scratch).unlink(missing_ok=True)


def seal(folder: Path) -> None:
    """Write the checksums of a folder's files; any later change to them counts as damage."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name != SUMS)
    (folder / SUMS).write_text("".join(f"{_digest(f)}  {f.name}\n" for f in files), encoding="utf-8")


def broken(folder: Path, unread: Collection[str] = ()) -> str:
    """Return what is wrong with a sealed folder; empty if it is intact.

    Args:
        folder: where the files are.
        unread: names of files that only have to exist: large ones that nobody is about to read.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        return f"{SUMS} cannot be read ({error})"
    for name, digest in listed.items():
        try:
            same = (folder / name).is_file() if name in unread else _digest(folder / name) == digest
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        if not same:
            return f"{name} is not what was written"
    return "" if listed else f"{SUMS} is empty"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
