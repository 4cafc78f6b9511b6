"""Raw files out of their archives, onto the disk or only read to the end.

An archive from the network may be cut short, be a web page that asks to log in, name members that lead out
of the folder, or unpack to more than any disk holds. Each of these is an error that says so.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mtlbench.data.archive import CHUNK, Member, Unsafe, members, plain_words, without_packing
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

LARGEST_RATIO, SMALL = 200, 1 << 28
"""Unpacked bytes a packed byte, for archives of more than 256 MB unpacked. Real files pack 3 to 20 to 1, a
file of which 92 % are repeated rows 58 to 1; deflate can make 1,030 to 1, of zeros only."""
FREE_EVERY, LEAST_FREE = 1 << 26, 1 << 26
"""Bytes: free space is looked at after so many, and so many are left."""


def unpack(
    path: Path, work: Path, says: Reporting, wanted: Callable[[str], bool] | None = None
) -> list[Path]:
    """The files in `path`, in a folder of their own within `work`; `path` itself where it is not packed.

    Members keep their folders and their order. Dot files and what Finder adds (`__MACOSX`) are passed over.

    Args:
        path: packed or not.
        work: a scratch folder.
        says: takes progress; its command is the advice in errors.
        wanted: chooses members by name ("folder/train.csv"); all by default. A .gz that holds a file and no
            tar leaves no choice.

    Raises:
        DataError: cut short, damaged, behind a password, a web page, too large, or a member leads out of the
            folder; or nothing that is wanted is in it.
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
    """The one file in `path`, as `unpack`.

    Raises:
        DataError: as there; or several are wanted.
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
    """Lines of a file, or of all files in an archive, which is thereby read to its end and checked.

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
    """Where a member goes."""
    target = folder / name
    if target.exists() or any(parent.is_file() for parent in target.parents):
        raise Unsafe(f"{name!r} is in it twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


class _Budget:
    """What an archive may unpack to."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.packed = path.stat().st_size
        self._most = max(SMALL, LARGEST_RATIO * self.packed)
        self._path, self._folder = path, folder
        self._taken, self._looked = 0, 0

    def state(self, size: int) -> None:
        """The next member says that it has `size` bytes."""
        self._check(size)

    def take(self, size: int) -> None:
        """So many bytes are about to be written."""
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
