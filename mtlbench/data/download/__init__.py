"""Downloading the raw files: mirrors in order, resumed, checked, and compared with the first download."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mtlbench.data.archive import without_packing
from mtlbench.data.card import RemoteFile, Source
from mtlbench.data.download.lock import alone
from mtlbench.data.download.mirrors import Mirrors
from mtlbench.data.download.resume import PATIENCE, Patience
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

SCRATCH = ".download"
"""Name of the folder for parts, their notes and the lock, within the raw folder; removed when all is done."""


def download(
    files: Sequence[RemoteFile],
    source: Source,
    folder: Path,
    dataset: str,
    says: Reporting,
    patience: Patience = PATIENCE,
) -> tuple[Path, ...]:
    """Download the missing files to `folder`; return all files, without unavailable optional ones.

    A file comes from the first address that provides it, else from Kaggle. It is checked by its checksum if
    the card has one, else by length, by reading it to its end, and by its number of rows. The first download
    is recorded in `downloads.json` beside `folder`, and later ones must match it. An interruption loses
    nothing: the next call resumes. Of two processes, one waits for the other.

    Args:
        files: the files to get; one that exists already, even unpacked, is left as it is.
        source: page, terms and citation; terms and citation are printed once per home.
        folder: the raw folder of the dataset.
        dataset: name of the dataset, for messages.
        says: receives messages and progress.
        patience: retries and waits for each address.

    Raises:
        DataError: not enough disk space; or a file is unavailable: the message says what was tried, why it
            failed, and what to do by hand.
    """
    with _scratch(folder, says) as scratch:
        mirrors = Mirrors(folder, scratch, source, says, patience)
        missing = [file for file in files if _lying(folder, file) is None]
        by_hand = [file for file in missing if not (file.optional or file.addresses or file.kaggle)]
        if by_hand:  # before the others are downloaded in vain
            raise DataError(_by_hand(files, by_hand, (), source, folder, dataset))
        if missing:
            _check_room(missing, mirrors.begun(missing), source, folder, dataset)
            mirrors.say_terms()
        for file in missing:
            failures = mirrors.get(file)
            if failures and not file.optional:
                raise DataError(_by_hand(files, (file,), failures, source, folder, dataset))
            if failures:
                says.report("\n".join((f"{file.file} is left out; it is not needed:", *failures)))
    return tuple(path for file in files if (path := _lying(folder, file)))


def _lying(folder: Path, file: RemoteFile) -> Path | None:
    """Find the file in the raw folder, under its published name or its name when unpacked."""
    for name in (file.file, without_packing(file.file)):
        if (folder / name).is_file():
            return folder / name
    return None


@contextlib.contextmanager
def _scratch(folder: Path, says: Reporting) -> Iterator[Path]:
    """Lock and yield the scratch folder for downloads; remove it afterwards unless it holds useful parts."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    scratch = folder / SCRATCH
    waiting = f"Another process is downloading into {folder}; waiting for it."
    with alone(scratch / "lock", lambda: says.report(waiting)):
        worth_keeping = True
        try:
            yield scratch
            worth_keeping = False
        finally:
            if not (worth_keeping and any(scratch.glob("*.part"))):
                shutil.rmtree(scratch, ignore_errors=True)
            with contextlib.suppress(OSError):  # not empty, which is the normal case
                for path in made:
                    path.rmdir()


def _check_room(
    missing: Sequence[RemoteFile], begun: int, source: Source, folder: Path, dataset: str
) -> None:
    """Raise DataError unless the archives, their content and the prepared dataset fit on the disk."""
    parts = {
        "to download": max(0, sum(file.bytes for file in missing) - begun),
        "unpacked": sum(file.unpacked_bytes for file in missing),
        "prepared": source.prepared_bytes,
    }
    needed, free = sum(parts.values()), shutil.disk_usage(folder).free
    if needed > free:
        each = ", ".join(f"{size / 1e9:,.2f} GB {what}" for what, size in parts.items() if size)
        raise DataError(
            f"Dataset {dataset!r} needs about {needed / 1e9:,.2f} GB of disk ({each}); {folder} has "
            f"{free / 1e9:,.2f} GB free. Free some, or set MTLBENCH_HOME to a folder on a larger disk."
        )


def _by_hand(
    files: Sequence[RemoteFile],
    lacking: Sequence[RemoteFile],
    failures: Sequence[str],
    source: Source,
    folder: Path,
    dataset: str,
) -> str:
    """Describe what was tried, and how to get the files by hand."""
    names = ", ".join(file.file for file in lacking)
    start = f"No address gave {names}:" if failures else f"No address is known that gives {names}."
    account = "free, with an account" if source.account else "no account needed"
    sources = " ".join(f"--source {file.file}" for file in files if not file.optional)
    return "\n".join(
        (
            start,
            *failures,
            f"Get {names} by hand from {source.page} ({account}), then: "
            f"mtlbench prepare {dataset} {sources}".rstrip(),
            f"Or put it into {folder}, then: mtlbench prepare {dataset}",
        )
    )
