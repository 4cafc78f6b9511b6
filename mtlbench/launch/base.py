"""What all launchers share: what they are asked, and how one job is attempted, wherever that is."""

import gc
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from mtlbench.config import RunSpec
from mtlbench.errors import MtlbenchError
from mtlbench.home import Home
from mtlbench.plugins import place
from mtlbench.runs.execute import execute
from mtlbench.runs.outcome import Outcome

REPORT_ROWS = 20_000
"""Rows that a worker trains on between two reports."""

Job = Sequence[RunSpec]
"""Runs of one arm that go together."""


class Launcher(Protocol):
    """Brings jobs to where they are done."""

    def pick_device(self, name: str) -> torch.device:
        """The kind of device that `--device NAME` means to it.

        Raises:
            UsageError: it has none of that kind.
        """

    def launch(
        self,
        home: Home,
        dataset: str,
        jobs: Sequence[Job],
        device: torch.device,
        workers: int | None,
        on_rows: Callable[[int], None],
        on_outcomes: Callable[[list[Outcome]], None],
        *,
        again: bool = False,
        wait: bool = False,
    ) -> None:
        """Do all jobs; a job that fails is reported and the others go on.

        Args:
            home: where data and results lie.
            dataset: name of the prepared dataset.
            jobs: what to do, in this order.
            device: of every job, as `pick_device` gave it.
            workers: at the most so many jobs at a time; None means as many as there is room for.
            on_rows: told how many more rows have been trained on.
            on_outcomes: given what came of a job, as soon as it has.
            again, wait: as `execute` takes them.
        """


def attempt(
    home: Home,
    dataset: str,
    job: Job,
    device: torch.device,
    on_rows: Callable[[int], None],
    *,
    again: bool,
    wait: bool,
) -> list[Outcome]:
    """Execute a job; what goes wrong in it becomes its outcome.

    A stack that does not fit a GPU's memory, such as a frontier of many points, goes in halves: where a stack
    is cut changes no number.
    """
    if device.index is not None:  # one of several GPUs: what names none shall not land on the first
        torch.cuda.set_device(device)
    try:
        return execute(home, dataset, job, device, on_rows, again=again, wait=wait)
    except (MtlbenchError, RuntimeError, MemoryError, OSError, ValueError) as error:
        if len(job) == 1 or not _of_device_memory(error):
            return failed(job, error)
    except Exception as error:  # any other is a bug, ours unless it is a plugin's
        if not place(error):
            raise
        return failed(job, error)
    gc.collect()  # past the handler, which held on to the tensors of the attempt
    torch.cuda.empty_cache()
    middle = len(job) // 2
    return [
        outcome
        for half in (job[:middle], job[middle:])
        for outcome in attempt(home, dataset, half, device, on_rows, again=again, wait=wait)
    ]


def _of_device_memory(error: BaseException) -> bool:
    """Whether a GPU's memory was too small; its libraries and graphs have errors of their own for it."""
    text = str(error)
    elsewhere = "CUDA error: out of memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text
    return isinstance(error, torch.OutOfMemoryError) or elsewhere


def failed(job: Job, error: BaseException) -> list[Outcome]:
    """All runs of the job failed, and for that reason."""
    where = f"{place(error)}: " if place(error) else ""
    reason = where + f"{type(error).__name__}: {error}".splitlines()[0]
    return [Outcome(spec, "failed", reason=reason) for spec in job]
