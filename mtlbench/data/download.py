"""Getting the raw files: mirrors in order, resumed, checked, and held to what came the first time."""

import contextlib
import importlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from mtlbench.data.card import RemoteFile, Source
from mtlbench.data.recipe import Reporting
from mtlbench.data.resume import PAGE, Part, Patience, Refused, Resuming
from mtlbench.data.unpack import BLOCK, GZIP, ZIP, count_lines, is_page, without_packing
from mtlbench.errors import DataError
from mtlbench.home import write_json

SCRATCH = ".download"
"""Within the raw folder: parts, their notes and the lock. It goes when everything has come."""


def download(
    files: Sequence[RemoteFile],
    source: Source,
    folder: Path,
    dataset: str,
    says: Reporting,
    patience: Patience = Patience(),  # noqa: B008 (frozen)
) -> tuple[Path, ...]:
    """The files in `folder`, downloaded where they are missing; without optional ones that cannot be had.

    Each comes from the first address that gives it, then from Kaggle. It is checked by its checksum where the
    card has one, else by length, by being read to its end, and by its number of rows; what came first is
    recorded in `downloads.json` beside `folder`, and later downloads are held to it. A break loses nothing:
    the next call goes on. Of two processes, one waits for the other.

    Raises:
        DataError: no room; or a file cannot be had: what was tried, why it failed, and what to do by hand.
    """
    task = _Task(source, folder, dataset, says, patience)
    with _alone(folder, says):
        missing = [file for file in files if _there(folder, file) is None]
        by_hand = [f for f in missing if not (f.optional or f.addresses or f.kaggle)]
        if by_hand:
            raise DataError(_by_hand(task, files, by_hand, ()))
        if missing:
            _check_room(task, missing)
            task.say_terms()
        for file in missing:
            failures = task.get(file)
            if failures and file.optional:
                says.report("\n".join((f"{file.file} is left out; it is not needed:", *failures)))
            elif failures:
                raise DataError(_by_hand(task, files, (file,), failures))
    return tuple(path for file in files if (path := _there(folder, file)))


@dataclass(frozen=True, slots=True)
class _Task:
    """What all files of one download share."""

    source: Source
    folder: Path
    dataset: str
    says: Reporting
    patience: Patience

    @property
    def scratch(self) -> Path:
        return self.folder / SCRATCH

    @property
    def record(self) -> Path:
        """What came once, so that it can be told whether the same comes again."""
        return self.folder.parent / "downloads.json"

    def recorded(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"terms": "", "files": {}}
        except ValueError as error:
            raise DataError(f"{self.record} is damaged ({error}). Delete it and try again.") from error
        return found

    def say_terms(self) -> None:
        """Print terms and citation, once in the life of a home."""
        recorded, text = self.recorded(), f"Terms: {self.source.terms}\nCite: {self.source.cite}"
        if recorded["terms"] != text:
            self.says.report(text)
            write_json(self.record, {**recorded, "terms": text})

    def part(self, name: str) -> Part:
        return Part(self.scratch / f"{name}.part")

    def get(self, file: RemoteFile) -> list[str]:
        """Bring the file into the folder; where that fails, why, one line a mirror."""
        failures = []
        for address in sorted(file.addresses, key=lambda a: not self._begun(file, a)):
            try:
                self._download(file, address)
            except Refused as refused:
                failures.append(f"  {address}: {refused}")
            else:
                return []
        if file.kaggle:
            try:
                self._from_kaggle(file)
            except Refused as refused:
                failures.append(f"  Kaggle, {file.kaggle}: {refused}")
            else:
                return []
        return failures or ["  it has no address"]

    def _begun(self, file: RemoteFile, address: str) -> bool:
        edition = self.part(_name_at(file, address)).edition()
        return edition is not None and edition.address == address

    def _download(self, file: RemoteFile, address: str) -> None:
        name = _name_at(file, address)
        known, part = self._known(file, name), self.part(name)
        begun = f", going on at {_size(part.size)}" if self._begun(file, address) and part.size else ""
        about = f" (about {_size(file.bytes)})" if file.bytes and name == file.file else ""
        self.says.report(f"Downloading {address}{about}{begun}")
        Resuming(part, self.says, known.accept, self.patience).fetch(address)
        self._keep(part.path, known, address)
        part.drop()

    def _known(self, file: RemoteFile, name: str) -> "_Known":
        """What is known of a file that is kept as `name`; the card speaks of the name on it only."""
        published, recorded = name == file.file, self.recorded()["files"].get(name)
        if recorded:
            held_by = f"{self.record} from the first download (delete that entry to accept another file)"
            return _Known(name, held_by, bytes=recorded["bytes"], sha256=recorded["sha256"])
        return _Known(
            name,
            "the card",
            bytes=file.bytes if published and file.exact else 0,
            sha256=file.sha256.lower() if published else "",
            md5=file.md5.lower() if published else "",
            rows=file.rows,
        )

    def _from_kaggle(self, file: RemoteFile) -> None:
        try:
            kagglehub: Any = importlib.import_module("kagglehub")
        except ImportError:
            raise Refused("needs kagglehub: pip install 'mtlbench[kaggle]'") from None
        owner, dataset, *inside = file.kaggle.split("/", 2)
        self.says.report(f"Downloading {file.kaggle} from Kaggle")
        try:
            found = Path(kagglehub.dataset_download(f"{owner}/{dataset}", *inside))
        except Exception as error:  # of many kinds, some of them plain Exceptions
            said = str(error).strip().splitlines() or [""]
            raise Refused(f"{type(error).__name__}: {said[0][:200]}") from error
        plain = without_packing(file.file)
        if found.is_dir():
            lying = [path for path in sorted(found.rglob("*")) if path.is_file()]
            found = next((path for path in lying if path.name in (file.file, plain)), found)
        if not found.is_file():
            raise Refused(f"holds no {file.file}, but {', '.join(p.name for p in lying[:10]) or 'nothing'}")
        name = plain if found.name == plain else file.file
        arrived = self.scratch / name
        arrived.unlink(missing_ok=True)
        try:
            os.link(found, arrived)  # Kaggle's own cache keeps its file
        except OSError:
            shutil.copyfile(found, arrived)
        self._keep(arrived, self._known(file, name), f"kaggle:{file.kaggle}")

    def _keep(self, arrived: Path, known: "_Known", address: str) -> None:
        """Check what arrived, record it, and put it into its place."""
        try:
            sha256 = known.check(arrived, self.says)
        except Refused:
            arrived.unlink()
            raise
        recorded = self.recorded()
        recorded["files"][known.name] = {
            "address": address,
            "bytes": arrived.stat().st_size,
            "sha256": sha256,
            "downloaded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.record, recorded)
        arrived.replace(self.folder / known.name)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a file must be like, and who says so; 0 and empty where nobody knows."""

    name: str
    held_by: str
    bytes: int = 0
    sha256: str = ""
    md5: str = ""
    rows: int = 0

    def accept(self, size: int) -> None:
        """Raise Refused where the file cannot have this length."""
        self._same("bytes", size, self.bytes)

    def check(self, path: Path, says: Reporting) -> str:
        """The sha256 of a file that is as it should be.

        Raises:
            Refused: it is not.
        """
        from pooch import file_hash

        with path.open("rb") as stream:
            head = stream.read(BLOCK)
        if is_page(head):
            raise Refused(PAGE)
        suffix = Path(self.name).suffix.lower()
        if not head.startswith({".gz": GZIP, ".tgz": GZIP, ".zip": ZIP}.get(suffix, b"")):
            raise Refused(f"sends something that is no {suffix} file")
        self.accept(path.stat().st_size)
        if self.md5:
            self._same("md5", file_hash(str(path), alg="md5"), self.md5)
        sha256: str = file_hash(str(path), alg="sha256")
        self._same("sha256", sha256, self.sha256)
        if not (self.sha256 or self.md5):
            self._check_content(path, says)
        return sha256

    def _same(self, what: str, found: str | int, wanted: str | int) -> None:
        if wanted and found != wanted:
            raise Refused(f"sends another file: {what} {found}, not {wanted} as in {self.held_by}")

    def _check_content(self, path: Path, says: Reporting) -> None:
        """Read to the end what no checksum vouches for, before it is recorded as good."""
        try:
            lines = count_lines(path, says)
        except DataError as error:
            raise Refused(f"sends a damaged file ({error.__cause__ or error})") from error
        if lines < self.rows:
            raise Refused(f"sends {lines:,} lines, too few for the {self.rows:,} rows of the card")


@contextlib.contextmanager
def _alone(folder: Path, says: Reporting) -> Iterator[None]:
    """Hold the raw folder's lock, which dies with its owner; what stays empty goes in the end."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    scratch = folder / SCRATCH
    lock = scratch / "lock"
    while True:
        scratch.mkdir(parents=True, exist_ok=True)
        with lock.open("ab") as stream:
            _wait_for(stream, f"Another process is downloading into {folder}; waiting for it.", says)
            if not _still_there(lock, stream):
                continue  # its last owner has removed it with the folder
            try:
                yield
            finally:
                if not list(scratch.glob("*.part")):
                    shutil.rmtree(scratch, ignore_errors=True)
                with contextlib.suppress(OSError):  # not empty: as it should be
                    for path in made:
                        path.rmdir()
        return


def _wait_for(stream: IO[bytes], notice: str, says: Reporting) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        says.report(notice)
        fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def _still_there(lock: Path, stream: IO[bytes]) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _there(folder: Path, file: RemoteFile) -> Path | None:
    """The file in the raw folder, under its published name or under that of what is in it."""
    for name in (file.file, without_packing(file.file)):
        if (folder / name).is_file():
            return folder / name
    return None


def _name_at(file: RemoteFile, address: str) -> str:
    """What a file from this address is kept as: some mirrors have it unpacked."""
    plain = without_packing(file.file)
    return plain if PurePosixPath(urlsplit(address).path).name == plain else file.file


def _check_room(task: _Task, missing: Sequence[RemoteFile]) -> None:
    """Raise DataError unless archives, what is in them and what is made of it fit on the disk."""
    begun = sum(task.part(file.file).size for file in missing)
    parts = {
        "to download": max(0, sum(file.bytes for file in missing) - begun),
        "unpacked": sum(file.unpacked_bytes for file in missing),
        "prepared": task.source.prepared_bytes,
    }
    free = shutil.disk_usage(task.folder).free
    if sum(parts.values()) > free:
        each = ", ".join(f"{_size(size)} {what}" for what, size in parts.items() if size)
        raise DataError(
            f"Dataset {task.dataset!r} needs about {_size(sum(parts.values()))} of disk ({each}); "
            f"{task.folder} has {_size(free)} free. Free some, or set MTLBENCH_HOME to a folder on a larger "
            "disk."
        )


def _by_hand(
    task: _Task, files: Sequence[RemoteFile], lacking: Sequence[RemoteFile], failures: Sequence[str]
) -> str:
    """What to do where a download does not help."""
    names = ", ".join(file.file for file in lacking)
    start = f"No address gave {names}:" if failures else f"{names} cannot be downloaded without a log-in."
    account = "free, with an account" if task.source.account else "no account needed"
    sources = " ".join(f"--source {file.file}" for file in files if not file.optional)
    return "\n".join(
        (
            start,
            *failures,
            f"Get {names} by hand from {task.source.page} ({account}), then: "
            f"mtlbench prepare {task.dataset} {sources}",
            f"Or put it into {task.folder}, then: mtlbench prepare {task.dataset}",
        )
    )


def _size(size: int) -> str:
    """Bytes for people."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"
