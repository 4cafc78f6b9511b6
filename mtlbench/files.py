"""Files and folders that are whole or not there, locks that die with their owner, and checksums.

A sealed folder lists its checksums as sha256sum does: `cd FOLDER && sha256sum -c SHA256SUMS` checks it
without us.
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
"""Name of the lock file; the process that locks it has the folder to itself."""
SUMS = "SHA256SUMS"


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A scratch folder beside `target` that becomes `target` when the block ends well, else vanishes.

    A reader sees the old folder or the new one, never half of either; an interrupted writer leaves
    at most a folder whose name starts with a dot.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        for file in scratch.rglob("*"):
            if file.is_file():
                with file.open("r+b") as stream:  # Windows syncs no file that is open for reading alone
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
    """Make the names in a folder survive a power cut, where the system can."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_name(wanted: Path) -> Path:
    """`wanted`, or where something lies there the first of `wanted-2`, `wanted-3`, ... that is free."""
    names = (wanted.with_name(f"{wanted.name}-{i}") for i in itertools.count(2))
    return next(path for path in itertools.chain([wanted], names) if not path.exists())


def _make(folder: Path) -> None:
    """`mkdir` that takes it well when another process makes or removes the same folder at this moment."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        if folder.is_file():
            raise


@contextlib.contextmanager
def alone_in(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, made where it is missing, against other processes; however this one ends, it lets go.

    On a file that is open for writing, since a network file system tells others of no other lock.

    Raises:
        BlockingIOError: another process holds it, and one does not `wait` until it lets go.
    """
    if sys.platform == "win32":  # it has no such lock
        folder.mkdir(parents=True, exist_ok=True)
        yield
        return
    import fcntl

    path = folder / LOCK
    while True:
        with contextlib.suppress(FileNotFoundError):  # the folder has just been removed by who held it
            _make(folder)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), path.stat()):
                    break
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # of a file that who held it has removed meanwhile
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that `path` is the old text or the new one, never a part; NaN becomes null upstream."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text so that `path` is the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(scratch).chmod(0o644)  # mkstemp's file is for its owner alone
        Path(scratch).replace(path)
        _sync(path.parent)
    finally:
        Path(scratch).unlink(missing_ok=True)


def seal(folder: Path) -> None:
    """Write the list; what is changed in the folder after that is damage."""
    files = sorted(f for f in folder.iterdir() if f.is_file() and f.name != SUMS)
    (folder / SUMS).write_text("".join(f"{_digest(f)}  {f.name}\n" for f in files), encoding="utf-8")


def broken(folder: Path, unread: Collection[str] = ()) -> str:
    """What is wrong with a sealed folder; empty where it is whole.

    Args:
        folder: where the files lie.
        unread: those that need only be there: large ones that nobody is about to use.
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
