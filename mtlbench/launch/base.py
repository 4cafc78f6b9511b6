"""What all launchers share: their interface, and how one job is attempted, wherever it runs."""

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
"""Number of rows that a worker trains on between two progress reports."""

Job = Sequence[RunSpec]
"""Runs of one arm that go together."""


class Launcher(Protocol):
    """Sends jobs to the processes that do them."""

    def pick_device(self, name: str) -> torch.device:
        """Return the kind of device that `--device NAME` means for this launcher.

        Raises:
            UsageError: the launcher has no device of that kind.
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
            home: where data and results are stored.
            dataset: name of the prepared dataset.
            jobs: what to do, in this order.
            device: device of every job, from `pick_device`.
            workers: maximum number of jobs at a time; None means as many as there is room for.
            on_rows: told how many more rows have been trained on.
            on_outcomes: given the outcomes of each job as soon as it ends.
            again, wait: as in `execute`.
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
    """Execute a job; errors in it become its outcome.

    A stack that does not fit in a GPU's memory, such as a frontier of many points, is split in half: where a
    stack is cut changes no number.
    """
    if device.index is not None:  # one of several GPUs: code that names no device must not use the first
        torch.cuda.set_device(device)
    try:
        return execute(home, dataset, job, device, on_rows, again=again, wait=wait)
    except (MtlbenchError, RuntimeError, MemoryError, OSError, ValueError) as error:
        if len(job) == 1 or not _of_device_memory(error):
            return failed(job, error)
    except Exception as error:  # anything else is a bug, in mtlbench unless it is in a plugin
        if not place(error):
            raise
        return failed(job, error)
    gc.collect()  # outside the handler, which keeps the tensors of the attempt alive
    torch.cuda.empty_cache()
    middle = len(job) // 2
    return [
        outcome
        for half in (job[:middle], job[middle:])
        for outcome in attempt(home, dataset, half, device, on_rows, again=again, wait=wait)
    ]


def _of_device_memory(error: BaseException) -> bool:
    """Return whether GPU memory ran out; CUDA's libraries and graphs raise other errors for it than torch."""
    text = str(error)
    elsewhere = "CUDA error: out of memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text
    return isinstance(error, torch.OutOfMemoryError) or elsewhere


def failed(job: Job, error: BaseException) -> list[Outcome]:
    """Return the outcomes of a job all of whose runs failed with that error."""
    where = f"{place(error)}: " if place(error) else ""
    reason = where + f"{type(error).__name__}: {error}".splitlines()[0]
    return [Outcome(spec, "failed", reason=reason) for spec in job]
