"""Reading .gz, .zip, .tar and .tar.gz, recognised by content and not by name, without trusting them."""

import contextlib
import errno
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple, cast

from mtlbench.errors import DataError

CHUNK = 1 << 20
BLOCK = 512
"""Bytes of a tar header; enough to recognise any packing."""
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
ZSTD, ZLIB = b"\x28\xb5\x2f\xfd", (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
UNREAD = {
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    ZSTD: "zstd",
}
SUFFIXES = (".tar.gz", ".tgz", ".tar", ".gz", ".zip")
MOST_MEMBERS = 10_000
LONGEST_NAME, DEEPEST = 200, 20
"""Most bytes of a name, and levels of folders: within the limits of every file system."""


class Unsafe(Exception):
    """An archive holds something that no archive of data does; the message says what."""


class Member(NamedTuple):
    """One file of an archive.

    Attributes:
        name: name within the archive.
        size: size as stated there; 0 if it is not.
        open: opens the file for reading.
        alone: whether it is the single file of a .gz, named after that.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    alone: bool = False


def members(path: Path, packed: IO[bytes], command: str) -> Iterator[Member] | None:
    """Yield the files of an archive, each to be read before the next; return None if `path` is not packed.

    Dot files and files added by Finder (`__MACOSX`) are skipped. Names have forward slashes and stay within
    the folder. Read the archive to its end, within `plain_words`: some damage shows only there.

    Args:
        path: path of the archive.
        packed: the open archive.
        command: command that repairs the problem, for messages.

    Raises:
        DataError: the file is empty, a web page, or packed in an unsupported format.
    """
    head = packed.read(BLOCK)
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
    packed.seek(0)
    if head.startswith(GZIP):
        return _of_gzip(path, packed)
    if _is_tar(head):  # before zip, which is recognised by its end: the last file in a tar may be a zip
        return _safe(_of_plain_tar(packed))
    if head.startswith(ZIP) or path.suffix.lower() == ".zip" or zipfile.is_zipfile(packed):
        return _safe(_of_zip(packed))
    packed.seek(0)  # is_zipfile has moved it
    return None


def check_text(path: Path, command: str) -> None:
    """Refuse a text file that begins like a packed one: Polars would unpack it, or fail to.

    Raises:
        DataError: the file begins like a packed one.
    """
    with path.open("rb") as stream:
        head = stream.read(len(ZSTD))
    if head.startswith((GZIP, ZSTD, *ZLIB)):
        raise DataError(
            f"{path.name} begins as a packed file does ({head.hex(' ')}), where lines of text are wanted. "
            f"It is damaged, or packed twice. Get the file again, then: {command}"
        )


def is_page(head: bytes) -> bool:
    """Return whether a file with this start is a web page."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def without_packing(name: str) -> str:
    """Return a file name without its packing suffix."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


@contextlib.contextmanager
def plain_words(path: Path, command: str) -> Iterator[None]:
    """Turn errors of the unpackers over `path` into a DataError."""
    again = f"Get the file again, then: {command}"
    try:
        yield
    except Unsafe as error:
        raise DataError(f"{path} is not unpacked: {error}. {again}") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or a packing that Python lacks
        raise DataError(
            f"{path} cannot be unpacked here ({error}). Unpack it by hand, then: {command}"
        ) from error
    except (
        *(EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
        *(ValueError, OverflowError, struct.error),  # raised over a corrupt directory
    ) as error:
        raise DataError(f"{path} is cut short or damaged ({error}). {again}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # from the disk; not gzip, nor a seek before the start
            raise
        raise DataError(f"{path} is cut short or damaged ({error}). {again}") from error


def _safe(found: Iterator[Member]) -> Iterator[Member]:
    """Yield the members worth reading, with names that stay within the folder."""
    for count, member in enumerate(found):
        if count == MOST_MEMBERS:
            raise Unsafe(f"more than {MOST_MEMBERS:,} files are in it")
        name = PurePosixPath(member.name.replace("\\", "/"))
        if (
            not name.parts
            or name.is_absolute()
            or ".." in name.parts
            or PureWindowsPath(member.name).drive
            or "\0" in member.name
            or len(name.parts) > DEEPEST
            or any(len(os.fsencode(part)) > LONGEST_NAME for part in name.parts)
        ):
            raise Unsafe(f"{member.name[:80]!r} leads out of the folder, or is no name for a file")
        if not any(part.startswith(".") or part == "__MACOSX" for part in name.parts):
            yield member._replace(name=str(name))


def _of_gzip(path: Path, packed: IO[bytes]) -> Iterator[Member]:
    with gzip.GzipFile(fileobj=packed) as unpacked:
        stream = cast(IO[bytes], unpacked)
        head = stream.read(BLOCK)
        stream.seek(0)
        if not _is_tar(head):
            yield Member(without_packing(path.name) or "file", 0, lambda: stream, alone=True)
            return
        yield from _safe(_of_tar(stream))
        while stream.read(CHUNK):  # read to the end, where the checksum is
            pass


def _of_zip(packed: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(packed) as archive:
        for info in archive.infolist():
            if stat.S_ISLNK(info.external_attr >> 16):
                raise Unsafe(f"{info.filename[:80]!r} is a link")
            if not info.filename.endswith("/"):  # is_dir() stumbles over an empty name
                yield Member(info.filename, info.file_size, partial(archive.open, info))


def _of_tar(stream: IO[bytes]) -> Generator[Member, None, int]:
    """Yield the files of a tar; return the position of its end."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            if info.isreg():
                yield Member(info.name, info.size, partial(_extract, archive, info))
            elif not info.isdir():
                raise Unsafe(f"{info.name[:80]!r} is a link or a device")
        return archive.offset


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    assert stream is not None  # a regular file
    return stream


def _of_plain_tar(packed: IO[bytes]) -> Iterator[Member]:
    end = yield from _of_tar(packed)
    packed.seek(end)
    if packed.read(BLOCK) != bytes(BLOCK):  # tarfile takes a damaged header for the end
        raise tarfile.ReadError("it has no end")


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True
