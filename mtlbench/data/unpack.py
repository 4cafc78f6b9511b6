"""Raw files out of .gz, .zip, .tar and .tar.gz, told by content and not by name, with nothing taken on trust.

An archive from the network may be cut short, be a web page that asks to log in, name members that lead out
of the folder, or unpack to more than any disk holds. Each of these is an error that says so.
"""

import contextlib
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple, cast

from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

CHUNK = 1 << 20
BLOCK = 512
"""Bytes of a tar header."""
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
UNREAD = {
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
SUFFIXES = (".tar.gz", ".tgz", ".tar", ".gz", ".zip")
LARGEST_RATIO, SMALL = 200, 1 << 28
"""Unpacked bytes a packed byte, beyond 256 MB unpacked. Logs pack 3 to 10 to 1, and the sparsest table about
50 to 1; deflate can make 1,030 to 1, of zeros only."""
MOST_MEMBERS = 10_000
LONGEST_NAME, DEEPEST = 200, 20
"""Bytes of a name, and folders: within what every file system takes."""
FREE_EVERY, LEAST_FREE = 1 << 26, 1 << 26
"""Free space is looked at every 64 MB, and 64 MB are left."""


class Member(NamedTuple):
    """One file of an archive: its name there, its size as stated (0: not stated), and how to read it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(
    path: Path, work: Path, says: Reporting, wanted: Callable[[str], bool] | None = None
) -> list[Path]:
    """The files in `path`, in a folder of their own within `work`; `path` itself where it is not packed.

    Members keep their folders and their order. Dot files and what Finder adds (`__MACOSX`) are passed over.

    Args:
        path: packed or not.
        work: a scratch folder.
        says: takes progress; its command is the advice in errors.
        wanted: chooses members by name ("folder/train.csv"); all by default.

    Raises:
        DataError: cut short, damaged, behind a password, a web page, too large, or a member leads out of the
            folder; or nothing that is wanted is in it.
    """
    files: list[Path] = []
    names: list[str] = []
    with _plain_words(path, says.command), path.open("rb") as packed:
        members = _members(path, packed, says.command)
        if members is None:
            return [path]
        folder = Path(tempfile.mkdtemp(prefix=f"{without_packing(path.name)}-", dir=work))
        budget = _Budget(path, folder, says.command)
        for member in members:
            names.append(member.name)
            if wanted is None or wanted(member.name):
                budget.state(member.size)
                target = _place(folder, member.name)
                with target.open("wb") as out, member.open() as stream:
                    while chunk := stream.read(CHUNK):
                        budget.take(len(chunk))
                        out.write(chunk)
                        says.progress("unpack", packed.tell(), budget.packed)
                files.append(target)
    if not files:
        inside = ", ".join(names[:10]) or "nothing"
        raise DataError(f"{path} holds no file that is needed, but {inside}. Give another: {says.command}")
    return files


def count_lines(path: Path, says: Reporting) -> int:
    """Lines of a file, or of all files in an archive, which is thereby read to its end and checked.

    Raises:
        DataError: as from `unpack`.
    """
    lines = 0
    with _plain_words(path, says.command), path.open("rb") as packed:
        size = path.stat().st_size
        members = _members(path, packed, says.command)
        for member in (Member(path.name, size, lambda: packed),) if members is None else members:
            last = b"\n"
            with member.open() as stream:
                while chunk := stream.read(CHUNK):
                    lines += chunk.count(b"\n")
                    last = chunk[-1:]
                    says.progress("check", packed.tell(), size)
            lines += last != b"\n"
    return lines


def is_page(head: bytes) -> bool:
    """Whether a file that starts so is a web page."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def without_packing(name: str) -> str:
    """A file name without the suffixes that say how it is packed."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _members(path: Path, packed: IO[bytes], command: str) -> Iterator[Member] | None:
    """The members of an archive, each to be read before the next; None where `path` is not packed."""
    head = packed.read(BLOCK)
    packed.seek(0)
    again = f"Get the file again, then: {command}"
    if not head:
        raise DataError(f"{path} is cut short or damaged (it is empty). {again}")
    if is_page(head):
        raise DataError(f"{path} is a web page, not data (a download that asked to log in?). {again}")
    for magic, packing in UNREAD.items():
        if head.startswith(magic):
            raise DataError(
                f"{path} is packed as {packing}, which is not read here. Unpack it by hand, then: {command}"
            )
    if head[:2] == GZIP:
        return _safe(_gzip_members(path, packed))
    if head[:4] == ZIP or path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return _safe(_zip_members(packed))
    if _is_tar(head):
        return _safe(_plain_tar_members(packed))
    return None


def _gzip_members(path: Path, packed: IO[bytes]) -> Iterator[Member]:
    with gzip.GzipFile(fileobj=packed) as unpacked:
        stream = cast(IO[bytes], unpacked)
        head = stream.read(BLOCK)
        stream.seek(0)
        if _is_tar(head):
            yield from _tar_members(stream)
            while stream.read(CHUNK):  # to its end, where the checksum is
                pass
        else:
            yield Member(without_packing(path.name), 0, lambda: stream)


def _zip_members(packed: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(packed) as archive:
        for info in archive.infolist():
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _Unsafe(f"{info.filename!r} is a link")
            if not info.is_dir():
                yield Member(info.filename, info.file_size, partial(archive.open, info))


def _tar_members(stream: IO[bytes]) -> Generator[Member, None, int]:
    """The files of a tar; returns where it ends."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            if not (info.isdir() or info.isreg()):
                raise _Unsafe(f"{info.name!r} is a link or a device")
            if info.isreg():
                yield Member(info.name, info.size, partial(_extract, archive, info))
        return archive.offset


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    assert stream is not None  # a regular file
    return stream


def _plain_tar_members(packed: IO[bytes]) -> Iterator[Member]:
    end = yield from _tar_members(packed)
    packed.seek(end)
    if packed.read(BLOCK) != bytes(BLOCK):  # tarfile takes a damaged header for the end
        raise tarfile.ReadError("no end")


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


class _Unsafe(Exception):
    """No archive of data holds such a thing."""


def _safe(members: Iterator[Member]) -> Iterator[Member]:
    """The members worth reading, under names that lead nowhere else."""
    for count, member in enumerate(members):
        if count == MOST_MEMBERS:
            raise _Unsafe(f"more than {MOST_MEMBERS:,} files")
        name = PurePosixPath(member.name.replace("\\", "/"))
        if (
            not name.parts
            or name.is_absolute()
            or ".." in name.parts
            or PureWindowsPath(member.name).drive
            or "\0" in member.name
            or any(len(os.fsencode(part)) > LONGEST_NAME for part in name.parts)
            or len(name.parts) > DEEPEST
        ):
            raise _Unsafe(f"{member.name[:80]!r} leads out of the folder, or is no name for a file")
        if not any(part.startswith(".") or part == "__MACOSX" for part in name.parts):
            yield member._replace(name=str(name))


def _place(folder: Path, name: str) -> Path:
    """Where a member goes."""
    target = folder / name
    if target.exists() or any(parent.is_file() for parent in target.parents):
        raise _Unsafe(f"{name!r} is in it twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


class _Budget:
    """What an archive may unpack to."""

    def __init__(self, path: Path, folder: Path, command: str) -> None:
        self.packed = path.stat().st_size
        self._most = max(SMALL, LARGEST_RATIO * self.packed)
        self._path, self._folder, self._command = path, folder, command
        self._taken, self._looked = 0, 0

    def state(self, size: int) -> None:
        """The next member says that it has `size` bytes."""
        self._check(size)

    def take(self, size: int) -> None:
        """So many bytes are about to be written."""
        self._taken += size
        if self._taken - self._looked >= FREE_EVERY:
            self._looked = self._taken
            self._check(0)

    def _check(self, more: int) -> None:
        if self._taken + more > self._most:
            raise _Unsafe(
                f"it unpacks to more than {self._most / 1e9:,.1f} GB, {LARGEST_RATIO} times its size"
            )
        if shutil.disk_usage(self._folder).free < more + LEAST_FREE:
            raise DataError(
                f"No room to unpack {self._path}: {self._folder} has "
                f"{shutil.disk_usage(self._folder).free / 1e9:,.1f} GB free"
                + (f", {more / 1e9:,.1f} GB are needed" if more else "")
                + ". Free some, or set MTLBENCH_HOME to a folder on a larger disk."
            )


@contextlib.contextmanager
def _plain_words(path: Path, command: str) -> Iterator[None]:
    """Turn what the unpackers raise into a DataError."""
    again = f"Get the file again, then: {command}"
    try:
        yield
    except _Unsafe as error:
        raise DataError(f"{path} is not unpacked: {error}. {again}") from error
    except (
        EOFError,
        zlib.error,
        lzma.LZMAError,
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        tarfile.TarError,
    ) as error:
        raise DataError(f"{path} is cut short or damaged ({error}). {again}") from error
    except (ValueError, struct.error) as error:  # of a directory that makes no sense
        raise DataError(f"{path} is cut short or damaged ({error}). {again}") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or a packing that Python lacks
        raise DataError(
            f"{path} cannot be unpacked here ({error}). Unpack it by hand, then: {command}"
        ) from error
