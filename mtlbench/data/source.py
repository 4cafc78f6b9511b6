"""Raw files: finding, downloading, unpacking, and knowing them again."""

import fnmatch
import glob
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from mtlbench.data.archive import without_packing
from mtlbench.data.card import Card, RemoteFile
from mtlbench.data.download import download
from mtlbench.data.recipe import Raw, Reporting
from mtlbench.errors import DataError
from mtlbench.home import Home

CHUNK = 1 << 20
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


class Published:
    """The half of a recipe that finds and fetches what its card names; `Settings`, `build` are the other."""

    simulated = False

    def files(self, card: Card, settings: Any) -> tuple[RemoteFile, ...]:
        """The raw files that these settings need."""
        assert card.source is not None
        return card.source.files

    def wanted(self, card: Card, settings: Any) -> Sequence[Sequence[str]]:
        """For each of `files`, the patterns of names under which it may lie in the raw folder."""
        return [names(file.file) for file in self.files(card, settings)]

    def find(self, home: Home, card: Card, settings: Any, given: Sequence[Path]) -> tuple[Path, ...]:
        """What is given, as it is; else what lies in the raw folder, none where a needed file is missing."""
        if given:
            return tuple(given)
        lying = self._lying(home.raw(card.name), card, settings)
        missing = any(path is None and not file.optional for file, path in lying)
        return () if missing else tuple(path for _, path in lying if path is not None)

    def fetch(self, home: Home, card: Card, settings: Any, work: Path, says: Reporting) -> Raw:
        """Download into the raw folder what does not lie there.

        Raises:
            DataError: from `download`.
        """
        assert card.source is not None
        folder = home.raw(card.name)
        missing = [file for file, path in self._lying(folder, card, settings) if path is None]
        download(missing, card.source, folder, card.name, says)
        return Raw(self.find(home, card, settings, ()))

    def _lying(self, folder: Path, card: Card, settings: Any) -> list[tuple[RemoteFile, Path | None]]:
        files = self.files(card, settings)
        patterns = self.wanted(card, settings)
        return [(file, lying_in(folder, some)) for file, some in zip(files, patterns, strict=True)]


def names(published: str) -> tuple[str, ...]:
    """Names that a published file may have: its own, and that of what is in it, packed or not."""
    plain = glob.escape(without_packing(published))
    return tuple(dict.fromkeys((glob.escape(published), plain, f"{plain}.gz", f"{plain}.zip")))


def lying_in(folder: Path, patterns: Sequence[str]) -> Path | None:
    """The newest file of the folder whose name fits a pattern, upper and lower case being the same."""
    if not folder.is_dir():
        return None
    fitting = [
        file
        for file in folder.iterdir()
        if not file.name.startswith(".")
        and any(fnmatch.fnmatchcase(file.name.lower(), pattern.lower()) for pattern in patterns)
        and file.is_file()
    ]
    return max(fitting, key=lambda file: (file.stat().st_mtime_ns, file.name), default=None)


def given_files(sources: Sequence[Path], command: str) -> tuple[Path, ...]:
    """The files that `--source` names; a folder stands for all files in it, at any depth, but dot files.

    Raises:
        DataError: one cannot be opened, or a folder holds none.
    """
    files: list[Path] = []
    for path in sources:
        inside = [path]
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.is_file() and not any(p.startswith(".") for p in file.relative_to(path).parts)
            ]
            if not inside:
                raise DataError(f"{path} is a folder without files. Give the raw files: {command}")
        files += inside
    for file in files:
        check_file(file, command)
    return tuple(dict.fromkeys(files))


def check_file(path: Path, command: str) -> None:
    """Raise DataError unless `path` is a file that can be opened."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the file in it: {command}")
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Give the raw file, packed or not: {command}") from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened ({error.strerror}). Give the raw file: {command}"
        ) from error


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
