"""Raw files: finding, downloading, unpacking, and knowing them again."""

import contextlib
import gzip
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from mtlbench.data.card import Source
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

CHUNK = 1 << 20
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


def lying_in(folder: Path, patterns: Sequence[str]) -> Path | None:
    """The newest file of the folder that fits a pattern."""
    fitting = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    visible = [file for file in fitting if not file.name.startswith(".")]
    return max(visible, key=lambda file: (file.stat().st_mtime_ns, file.name), default=None)


def check_file(path: Path, command: str) -> None:
    """Raise DataError unless `path` is a file that can be opened."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the file in it: {command}")
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Give the raw log, packed or not: {command}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}). Give the raw log: {command}") from error


def given_files(sources: Sequence[Path], command: str) -> tuple[Path, ...]:
    """The files that `--source` names."""
    for path in sources:
        check_file(path, command)
    return tuple(sources)


def describe(path: Path, says: Reporting) -> dict[str, Any]:
    """What the manifest says of a source: its checksum, and by what it is known again quickly."""
    status, digest, done = path.stat(), hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            says.progress("checksum", done, status.st_size)
    return {
        "name": path.name,
        "bytes": status.st_size,
        "sha256": digest.hexdigest(),
        "modified_ns": status.st_mtime_ns,
    }


def same(path: Path, described: dict[str, Any], says: Reporting) -> bool:
    """Whether `path` holds the bytes described; reads them only where its date has changed."""
    status = path.stat()
    if status.st_size != described["bytes"]:
        return False
    if status.st_mtime_ns == described["modified_ns"]:
        return True
    return bool(describe(path, says)["sha256"] == described["sha256"])


def unpack(path: Path, work: Path, says: Reporting) -> Path:
    """The CSV in a `.csv`, `.csv.gz` or `.zip` (told by content, not by name), unpacked into `work`.

    Raises:
        DataError: cut short, damaged, not one CSV, or no log at all.
    """
    with path.open("rb") as stream:
        head = stream.read(4)
    again = f"Get the file again, then: {says.command}"
    if head[:1] == b"<":
        raise DataError(f"{path} is a web page, not a log (a download that asked to log in?). {again}")
    target = work / path.name.removesuffix(".gz").removesuffix(".zip")
    try:
        if head[:2] == GZIP:
            with path.open("rb") as packed, gzip.open(packed) as stream:
                _copy(stream, target, packed, path.stat().st_size, says)
            return target
        if head == ZIP or zipfile.is_zipfile(path) or path.suffix == ".zip":
            with (
                path.open("rb") as packed,
                zipfile.ZipFile(packed) as archive,
                archive.open(_member(archive, path, says.command)) as stream,
            ):
                _copy(stream, target, packed, path.stat().st_size, says)
            return target
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is cut short or damaged ({error}). {again}") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or a packing that Python lacks
        raise DataError(
            f"{path} cannot be unpacked here ({error}). Unpack it by hand, then: {says.command}"
        ) from error
    return path


def _member(archive: zipfile.ZipFile, path: Path, command: str) -> zipfile.ZipInfo:
    """The one CSV of the archive."""
    files = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX")]
    logs = [m for m in files if m.filename.lower().endswith(".csv")] or files
    named = [m for m in logs if Path(m.filename).name.startswith("UserBehavior")]
    chosen = named if len(logs) > 1 else logs
    if len(chosen) != 1:
        inside = ", ".join(m.filename for m in files) or "nothing"
        raise DataError(
            f"{path} should hold one CSV, it holds {inside}. Unpack it and give the log: {command}"
        )
    return chosen[0]


def _copy(
    stream: IO[bytes] | gzip.GzipFile, target: Path, packed: IO[bytes], size: int, says: Reporting
) -> None:
    with target.open("wb") as out:
        while chunk := stream.read(CHUNK):
            out.write(chunk)
            says.progress("unpack", packed.tell(), size)


def download(source: Source, folder: Path, dataset: str, says: Reporting) -> Path:
    """Fetch the archive from the first address that gives it; its place is `folder`.

    Nothing is known to verify it by: a page instead of an archive, or one cut short, is rejected.

    Raises:
        DataError: no address works; says how to get the file by hand.
    """
    import pooch  # brings requests: only a download waits for it

    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for address in source.files[0].addresses:
        says.report(f"Downloading {address} (about {source.files[0].bytes / 1e6:,.0f} MB) ...")
        handle, name = tempfile.mkstemp(prefix=".download-", dir=folder)
        os.close(handle)
        scratch = Path(name)
        try:
            fetch = pooch.HTTPDownloader(
                progressbar=_Bar(says), timeout=30, headers={"User-Agent": "mtlbench"}
            )
            fetch(address, str(scratch), None)
            if not zipfile.is_zipfile(scratch):
                raise ValueError(f"not a whole zip archive, {scratch.stat().st_size:,} bytes")
            scratch.chmod(0o644)
            target = folder / source.files[0].file
            scratch.replace(target)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            said = str(error)
            failures.append(f"  {address}: {said if len(said) < 120 else type(error).__name__}")
        else:
            says.report(f"Terms: {source.terms}\nCite: {source.cite}")
            return target
        finally:
            scratch.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others' files lie there
        folder.rmdir()
    tried = "\n".join(failures)
    raise DataError(
        f"No address gave {source.files[0].file}:\n{tried}\nGet {source.files[0].file} by hand from {source.page} (free, with "
        f"an account), then: mtlbench prepare {dataset} --source {source.files[0].file}"
    )


class _Bar:
    """What pooch asks of a progress bar, passed on."""

    def __init__(self, says: Reporting) -> None:
        self.total, self._done, self._says = 0, 0, says

    def update(self, size: int) -> None:
        self._done += size
        self._says.progress("download", self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass
