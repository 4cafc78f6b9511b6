"""Folders that say by themselves whether they are whole, by a list of checksums as sha256sum writes it.

`cd FOLDER && sha256sum -c SHA256SUMS` checks one without us.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

SUMS = "SHA256SUMS"


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
