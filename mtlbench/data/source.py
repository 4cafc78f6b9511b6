"""Raw files: finding, downloading and recognising them."""

import fnmatch
import glob
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlbench.data.archive import without_packing
from mtlbench.data.card import Card, RemoteFile
from mtlbench.data.download import download
from mtlbench.data.recipe import Raw, Reporting
from mtlbench.errors import DataError
from mtlbench.home import Home

CHUNK = 1 << 20
NOTES = (".md", ".pdf")
"""Suffixes of files that accompany the data in a folder and are not data."""


class Published:
    """The part of a recipe that finds and fetches the files of its card; `Settings` and `build` are the rest.

    Attributes:
        raw_of: the dataset whose raw folder this one shares, so that nothing is downloaded twice; empty for
            its own.
    """

    simulated = False
    raw_of = ""

    def files(self, card: Card, settings: Any) -> tuple[RemoteFile, ...]:
        """Return the raw files that these settings need."""
        assert card.source is not None
        return card.source.files

    def wanted(self, card: Card, settings: Any) -> Sequence[Sequence[str]]:
        """Return, for each of `files`, patterns of the names that it may have in the raw folder."""
        return [names(file.file) for file in self.files(card, settings)]

    def find(self, home: Home, card: Card, settings: Any, given: Sequence[Path]) -> tuple[Path, ...]:
        """Return the given files, else those in the raw folder; empty if a required file is missing there."""
        if given:
            return tuple(given)
        lying = self._lying(home.raw(self.raw_of or card.name), card, settings)
        missing = any(path is None and not file.optional for file, path in lying)
        return () if missing else tuple(path for _, path in lying if path is not None)

    def fetch(self, home: Home, card: Card, settings: Any, work: Path, says: Reporting) -> Raw:
        """Download the files that are missing from the raw folder.

        Raises:
            DataError: from `download`.
        """
        assert card.source is not None
        folder = home.raw(self.raw_of or card.name)
        lying = self._lying(folder, card, settings)
        files = [file if path is None else replace(file, file=path.name) for file, path in lying]
        return Raw(download(files, card.source, folder, card.name, says))

    def _lying(self, folder: Path, card: Card, settings: Any) -> list[tuple[RemoteFile, Path | None]]:
        files = self.files(card, settings)
        patterns = self.wanted(card, settings)
        return [(file, lying_in(folder, some)) for file, some in zip(files, patterns, strict=True)]


def names(published: str) -> tuple[str, ...]:
    """Return the names that a published file may have: its own, and that of its content, packed or not."""
    plain = glob.escape(without_packing(published))
    return tuple(dict.fromkeys((glob.escape(published), plain, f"{plain}.gz", f"{plain}.zip")))


def lying_in(folder: Path, patterns: Sequence[str]) -> Path | None:
    """Return the newest file of the folder whose name matches a pattern, ignoring case."""
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
    """Return the files that `--source` names.

    A folder stands for all files in it, at any depth, except dot files and notes.

    Raises:
        DataError: a file cannot be opened, or a folder holds none.
    """
    files: list[Path] = []
    for path in sources:
        inside = [path]
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.is_file()
                and file.suffix.lower() not in NOTES
                and not any(p.startswith(".") for p in file.relative_to(path).parts)
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
    """Describe a source for the manifest: its checksum, and name, size and date to recognise it quickly."""
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
    """Return whether `path` holds the bytes described; read them only if the file's date has changed."""
    status = path.stat()
    if status.st_size != described["bytes"]:
        return False
    if status.st_mtime_ns == described["modified_ns"]:
        return True
    return bool(describe(path, says)["sha256"] == described["sha256"])
