"""The part that runs on a node of a Ray cluster: one job, in the head's home or in a home of the node's own.

A node that does not see the head's home gets the prepared matrices from the object store, once for all its
workers, into `$TMPDIR/mtlbench-UID/`, where the next grid on that data finds them; results go back as bytes.
"""

import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch

from mtlbench.errors import MtlbenchError, UsageError
from mtlbench.files import alone_in, atomic_folder
from mtlbench.home import Home
from mtlbench.launch.base import REPORT_ROWS, Job, attempt, failed
from mtlbench.load import open_prepared
from mtlbench.runs.outcome import Outcome

Files = Mapping[str, bytes]
"""File name -> content of a result's folder."""
Answer = Sequence[tuple[Outcome, Files]] | None
"""Outcome of each run, with its result's files if the head cannot see them; None: the node needs the data."""


@dataclass(frozen=True, slots=True)
class Order:
    """What all jobs of a grid have in common.

    Attributes:
        home: the head's home.
        dataset: name of the prepared dataset.
        fingerprint: fingerprint of its content.
        token: a file in the head's home; a node that sees it shares that home.
        device: device of every job.
        plugins: paths on the head of the plugin files that the runs may need.
        again, wait: as in `execute`.
    """

    home: Home
    dataset: str
    fingerprint: str
    token: Path
    device: torch.device
    plugins: tuple[str, ...]
    again: bool
    wait: bool


class Rows:
    """Progress of the jobs: an actor on the head's node. A job that is done again counts once."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}

    def note(self, job: int, rows: int) -> None:
        """Note that a job has trained on `rows` rows since it began."""
        self._rows[job] = max(rows, self._rows.get(job, 0))

    def total(self) -> int:
        """Return the number of rows of all jobs."""
        return sum(self._rows.values())


def work(order: Order, number: int, job: Job, data: Mapping[str, Any] | None, rows: Any) -> Answer:
    """Do a job, as a Ray task.

    Args:
        order: what all jobs have in common.
        number: number of the job.
        job: the runs to execute.
        data: references to the prepared files by name, once they are in the object store.
        rows: handle of the `Rows` actor.
    """
    done = reported = 0

    def on_rows(more: int) -> None:
        nonlocal done, reported
        done += more
        if done - reported >= REPORT_ROWS:
            rows.note.remote(number, done)
            reported = done

    shared = _shares(order)
    if not shared and data is None:
        return None
    try:
        _need_plugins(order.plugins)
        home = order.home if shared else _own_home(order, data or {})
    except (MtlbenchError, OSError) as error:
        return [(outcome, {}) for outcome in failed(job, error)]
    how = {"again": order.again, "wait": order.wait}
    outcomes = attempt(home, order.dataset, job, order.device, on_rows, **how)
    return [(outcome, {}) if shared else _packed(outcome) for outcome in outcomes]


def _shares(order: Order) -> bool:
    """Return whether this node works on the head's own files; a copy at the same path is not enough."""
    try:
        here = order.token.is_file() and os.access(order.token.parent, os.W_OK)
    except OSError:
        return False
    return here and _has_data(order.home, order)


def _has_data(home: Home, order: Order) -> bool:
    """Return whether that home has the prepared data that the jobs were planned for."""
    try:
        open_prepared(home, order.dataset, fingerprint=order.fingerprint)
    except (MtlbenchError, OSError):
        return False
    return True


def _need_plugins(files: Sequence[str]) -> None:
    for file in files:
        if not Path(file).is_file():
            raise UsageError(
                f"Plugin {file} is not there on the node {socket.gethostname()}. Put it where all nodes see "
                "it under the same name, for example into the shared home."
            )


def _own_home(order: Order, data: Mapping[str, Any]) -> Home:
    """Return this node's home for the data; the first worker to arrive writes the files there."""
    import ray

    mine = Path(tempfile.gettempdir()) / f"mtlbench-{os.getuid()}"
    mine.mkdir(mode=0o700, exist_ok=True)
    if mine.stat().st_uid != os.getuid():
        raise MtlbenchError(
            f"{mine} on the node {socket.gethostname()} is somebody else's. Set another TMPDIR."
        )
    home = Home(mine / sha256(order.fingerprint.encode()).hexdigest()[:20])
    target = home.prepared(order.dataset)
    with alone_in(target.parent, wait=True):
        if not _has_data(home, order):
            with atomic_folder(target) as folder:
                for name, reference in data.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    ray.get(reference).tofile(folder / name)
    return home


def _packed(outcome: Outcome) -> tuple[Outcome, Files]:
    """Return the outcome with its result's files, and delete them on the node."""
    if outcome.result is None:
        return outcome, {}
    folder = outcome.result.path
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    rmtree(folder, ignore_errors=True)
    return replace(outcome, status="done", result=None), files
