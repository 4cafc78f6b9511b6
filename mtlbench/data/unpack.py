"""Unpack raw files to disk, or only read archives to their end.

An archive from the network may be truncated, be a web page that asks to log in, name members that lead out
of the folder, or unpack to more than any disk holds. Each of these is a clear error.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mtlbench.data.archive import CHUNK, Member, Unsafe, members, plain_words, without_packing
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

LARGEST_RATIO, SMALL = 200, 1 << 28
"""Largest ratio of unpacked to packed bytes, for archives of more than 256 MB unpacked. Real files pack 3 to
20 to 1, a file with 92 % repeated rows 58 to 1; deflate reaches 1,030 to 1 only for zeros."""
FREE_EVERY, LEAST_FREE = 1 << 26, 1 << 26
"""Bytes written between checks of free space, and bytes of it to keep free."""


def unpack(
    path: Path, work: Path, says: Reporting, wanted: Callable[[str], bool] | None = None
) -> list[Path]:
    """Unpack the files in `path` to their own folder within `work`; return `path` itself if it is not packed.

    Members keep their folders and their order. Dot files and files added by Finder (`__MACOSX`) are skipped.

    Args:
        path: packed or not.
        work: a scratch folder.
        says: receives progress; its command is the advice in errors.
        wanted: chooses members by name ("folder/train.csv"); all by default. The single file of a .gz that is
            not a tar is always taken.

    Raises:
        DataError: truncated, damaged, behind a password, a web page, too large, or a member leads out of the
            folder; or it holds no wanted file.
    """
    files: list[Path] = []
    names: list[str] = []
    with plain_words(path, says.command), path.open("rb") as packed:
        found = members(path, packed, says.command)
        if found is None:
            return [path]
        folder = Path(tempfile.mkdtemp(prefix=f"{without_packing(path.name)}-", dir=work))
        budget = _Budget(path, folder)
        for member in found:
            names.append(member.name)
            if wanted is None or member.alone or wanted(member.name):
                budget.state(member.size)
                files.append(_place(folder, member.name))
                with files[-1].open("wb") as out, member.open() as stream:
                    while chunk := stream.read(CHUNK):
                        budget.take(len(chunk))
                        out.write(chunk)
                        says.progress("unpack", packed.tell(), budget.packed)
    if not files:
        inside = ", ".join(names[:10]) or "nothing"
        raise DataError(f"{path} holds no file that is needed, but {inside}. Give another: {says.command}")
    return files


def unpack_one(path: Path, work: Path, says: Reporting, wanted: Callable[[str], bool] | None = None) -> Path:
    """Unpack the only file in `path`, as `unpack`.

    Raises:
        DataError: as there; or there are several wanted files.
    """
    files = unpack(path, work, says, wanted)
    if len(files) > 1:
        inside = ", ".join(file.name for file in files[:10])
        raise DataError(
            f"{path} should hold one file to read, it holds {inside}. Unpack it and give the one: "
            f"{says.command}"
        )
    return files[0]


def count_lines(path: Path, says: Reporting) -> int:
    """Count the lines of a file, or of all files in an archive, which is thereby read to its end and checked.

    Raises:
        DataError: as from `unpack`.
    """
    lines, size = 0, path.stat().st_size
    with plain_words(path, says.command), path.open("rb") as packed:
        found = members(path, packed, says.command)
        for member in found if found is not None else (Member(path.name, size, lambda: packed),):
            last = b"\n"
            with member.open() as stream:
                while chunk := stream.read(CHUNK):
                    lines += chunk.count(b"\n")
                    last = chunk[-1:]
                    says.progress("check", packed.tell(), size)
            lines += last != b"\n"
    return lines


def _place(folder: Path, name: str) -> Path:
    """Return the path to unpack a member to; create its folder."""
    target = folder / name
    if target.exists() or any(parent.is_file() for parent in target.parents):
        raise Unsafe(f"{name!r} is in it twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


class _Budget:
    """Limits on the unpacked size of an archive."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.packed = path.stat().st_size
        self._most = max(SMALL, LARGEST_RATIO * self.packed)
        self._path, self._folder = path, folder
        self._taken, self._looked = 0, 0

    def state(self, size: int) -> None:
        """Check the stated size of the next member."""
        self._check(size)

    def take(self, size: int) -> None:
        """Count `size` bytes that are about to be written, and check the limits."""
        self._taken += size
        if self._taken - self._looked >= FREE_EVERY or self._taken > self._most:
            self._looked = self._taken
            self._check(0)

    def _check(self, more: int) -> None:
        if self._taken + more > self._most:
            raise Unsafe(
                f"it has {self.packed:,} bytes and would take more than {self._most / 1e9:,.1f} GB, and no "
                "table packs so well"
            )
        free = shutil.disk_usage(self._folder).free
        if free < more + LEAST_FREE:
            raise DataError(
                f"No room to unpack {self._path}: {self._folder} has {free / 1e9:,.1f} GB free"
                + (f", {more / 1e9:,.1f} GB are needed" if more else "")
                + ". Free some, or set MTLBENCH_HOME to a folder on a larger disk."
            )
