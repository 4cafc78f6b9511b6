"""Where things lie: `$MTLBENCH_HOME`, else the working directory; and files that are whole or not there."""

import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent
LOCK = ".lock"
"""Who has locked it is alone in the folder where it lies."""
_SHIPPED = _PACKAGE / "shipped"  # in a wheel; a checkout has the same files beside the package


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds `datasets/` and `results/`."""

    root: Path

    @classmethod
    def find(cls) -> "Home":
        """`$MTLBENCH_HOME` if set, else the working directory."""
        return cls(Path(os.environ.get("MTLBENCH_HOME") or Path.cwd()).resolve())

    @property
    def datasets(self) -> Path:
        """Raw and prepared data, one folder a dataset."""
        return self.root / "datasets"

    @property
    def results(self) -> Path:
        """What came out of runs."""
        return self.root / "results"

    def raw(self, dataset: str) -> Path:
        """Where a dataset's raw files are looked for, and downloaded to."""
        return self.datasets / dataset / "raw"

    def prepared(self, dataset: str) -> Path:
        """The prepared matrices of a dataset."""
        return self.datasets / dataset / "prepared"

    def runs(self, dataset: str) -> Path:
        """One folder a finished run."""
        return self.results / "runs" / dataset

    def training(self, dataset: str) -> Path:
        """One folder a run that is under way: held by who trains it, with checkpoints to go on from."""
        return self.results / "runs" / ".training" / dataset

    def failed(self, dataset: str) -> Path:
        """One file a run that failed when it was last tried."""
        return self.results / "runs" / ".failed" / dataset

    def asked(self, dataset: str) -> Path:
        """One file a benchmark that was run."""
        return self.results / "runs" / ".asked" / dataset

    def set_aside(self, dataset: str) -> Path:
        """What lay in the place of a result and was none."""
        return self.results / "runs" / ".set-aside" / dataset

    def relative(self, path: Path) -> str:
        """`path` as seen from the home, with forward slashes: what JSON and messages show."""
        return path.relative_to(self.root).as_posix()


def shipped(*parts: str) -> Path:
    """A card or benchmark file that comes with the program, from a wheel or a checkout."""
    base = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
    return base.joinpath(*parts)


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
