"""The local launcher: jobs to worker processes, one thread each, over the same memory-mapped data.

On a CPU a small model gains nothing from a second thread, so every core gets a process of its own. Workers
are spawned, not forked: polars and torch do not survive a fork.
"""

import multiprocessing as mp
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from mtlbench.config import RunSpec
from mtlbench.errors import MtlbenchError
from mtlbench.home import Home
from mtlbench.plugins import place
from mtlbench.runner import Outcome, execute

POLL_SECONDS = 0.2
REPORT_ROWS = 20_000

Job = Sequence[RunSpec]
"""Runs of one arm that go together."""
Attempt = Callable[[Job, torch.device, Callable[[int], None]], list[Outcome]]
"""Executes a job on a device, telling how many more rows are done."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launch(
    home: Home,
    dataset: str,
    jobs: Sequence[Job],
    device: torch.device,
    workers: int,
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
        device: of every job; a GPU is used from this process alone.
        workers: processes at a time; one job or one worker needs no other process.
        on_rows: told how many more rows have been trained on.
        on_outcomes: given what came of a job, as soon as it has.
        again, wait: as `execute` takes them.
    """
    attempt = partial(_attempt, home, dataset, again=again, wait=wait)
    if device.type != "cpu" or min(workers, len(jobs)) <= 1:
        for job in jobs:
            on_outcomes(attempt(job, device, on_rows))
        return
    pool = _Pool(attempt, min(workers, len(jobs)))
    try:
        pool.work(list(jobs), on_rows, on_outcomes)
    finally:
        pool.stop()


def _attempt(
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
    try:
        return execute(home, dataset, job, device, on_rows, again=again, wait=wait)
    except torch.OutOfMemoryError as error:
        if len(job) == 1:
            return _failed(job, error)
    except (MtlbenchError, RuntimeError, MemoryError, OSError, ValueError) as error:
        return _failed(job, error)
    except Exception as error:  # any other is a bug, ours unless it is a plugin's
        if not place(error):
            raise
        return _failed(job, error)
    torch.cuda.empty_cache()  # past the handler, which held on to the tensors of the attempt
    middle = len(job) // 2
    return [
        outcome
        for half in (job[:middle], job[middle:])
        for outcome in _attempt(home, dataset, half, device, on_rows, again=again, wait=wait)
    ]


def _failed(job: Job, error: BaseException) -> list[Outcome]:
    where = f"{place(error)}: " if place(error) else ""
    reason = where + f"{type(error).__name__}: {error}".splitlines()[0]
    return [Outcome(spec, "failed", reason=reason) for spec in job]


class _Pool:
    """Worker processes that each do one job at a time; one that dies takes its job with it, no other."""

    def __init__(self, attempt: Attempt, workers: int) -> None:
        self._context = mp.get_context("spawn")
        self._attempt = attempt
        self._reports: Any = self._context.Queue()
        self._workers = [self._start(i) for i in range(workers)]

    def _start(self, number: int) -> tuple[BaseProcess, Any]:
        inbox = self._context.SimpleQueue()
        process = self._context.Process(
            target=_worker, args=(number, self._attempt, inbox, self._reports), daemon=True
        )
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is the parent's business
        process.start()
        signal.signal(signal.SIGINT, before)
        return process, inbox

    def work(
        self,
        jobs: list[Job],
        on_rows: Callable[[int], None],
        on_outcomes: Callable[[list[Outcome]], None],
    ) -> None:
        """Hand out the jobs in order and pass on what the workers report."""
        waiting = list(reversed(jobs))
        busy: dict[int, Job] = {}
        for number in range(len(self._workers)):
            self._give(number, waiting, busy)
        while busy:
            try:
                number, kind, content = self._reports.get(timeout=POLL_SECONDS)
            except queue.Empty:
                for number in [n for n in busy if not self._workers[n][0].is_alive()]:
                    code = self._workers[number][0].exitcode
                    reason = f"its worker process died (exit code {code}; -9 usually means out of memory)"
                    on_outcomes([Outcome(spec, "failed", reason=reason) for spec in busy.pop(number)])
                    self._workers[number] = self._start(number)
                    self._give(number, waiting, busy)
                continue
            if kind == "rows":
                on_rows(content)
            else:
                del busy[number]
                on_outcomes(content)
                self._give(number, waiting, busy)

    def _give(self, number: int, waiting: list[Job], busy: dict[int, Job]) -> None:
        if waiting:
            busy[number] = waiting.pop()
            self._workers[number][1].put(busy[number])

    def stop(self) -> None:
        """End the workers; a run they were in is lost, finished ones are on disk."""
        for process, _ in self._workers:
            process.terminate()
        for process, _ in self._workers:
            process.join()


def _end_with_parent() -> None:
    """A parent that is killed stops nobody; a worker without one would wait for work for ever."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _worker(number: int, attempt: Attempt, inbox: Any, reports: Any) -> None:
    """A worker process: do what comes in until ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # where a plugin prints: the answer on stdout is the parent's to give
    unreported = 0

    def on_rows(rows: int) -> None:
        nonlocal unreported
        unreported += rows
        if unreported >= REPORT_ROWS:
            reports.put((number, "rows", unreported))
            unreported = 0

    while True:
        job = inbox.get()
        outcomes = attempt(job, torch.device("cpu"), on_rows)
        reports.put((number, "outcomes", outcomes))
