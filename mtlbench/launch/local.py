"""The local launcher: worker processes on this machine, sharing the same memory-mapped data.

On a CPU a small model gains nothing from a second thread, so every core gets a process of its own, with one
thread. A single GPU is used from this process; each of several GPUs gets a process. Workers are spawned, not
forked: polars and torch do not survive a fork.
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

from mtlbench.devices import pick_device
from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.launch import cores
from mtlbench.launch.base import REPORT_ROWS, Job, attempt
from mtlbench.runs.outcome import Outcome

POLL_SECONDS = 0.2

Attempt = Callable[[Job, torch.device, Callable[[int], None]], list[Outcome]]
"""Function that executes a job on a device and reports how many more rows are done."""


class Local:
    """Worker processes on this machine; takes no address."""

    def __init__(self, address: str | None = None) -> None:
        if address is not None:
            raise UsageError(f"--address {address} is a cluster's: give --launcher ray as well.")

    def pick_device(self, name: str) -> torch.device:
        """See `Launcher.pick_device`."""
        return pick_device(name)

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
        """See `Launcher.launch`; a single job or worker runs in this process."""
        attempts = partial(attempt, home, dataset, again=again, wait=wait)
        devices = places(device, workers)[: len(jobs)]
        if len(devices) <= 1:
            for job in jobs:
                on_outcomes(attempts(job, device, on_rows))
            return
        pool = Pool(attempts, devices)
        try:
            pool.work(jobs, on_rows, on_outcomes)
        finally:
            pool.stop()


def places(device: torch.device, workers: int | None) -> list[torch.device]:
    """Return the device of each worker: one per core, or one per GPU."""
    if device.type == "cpu":
        return [device] * (workers or cores())
    return [torch.device(device.type, number) for number in range(torch.cuda.device_count())][:workers]


class Pool:
    """Worker processes, one per device, each with one job at a time; one that dies loses only its own job."""

    def __init__(self, attempt: Attempt, devices: Sequence[torch.device]) -> None:
        self._context = mp.get_context("spawn")
        self._attempt, self._devices = attempt, devices
        self._reports: Any = self._context.Queue()
        self._workers = [self._start(i) for i in range(len(devices))]

    def _start(self, number: int) -> tuple[BaseProcess, Any]:
        inbox = self._context.SimpleQueue()
        process = self._context.Process(
            target=_worker,
            args=(number, self._attempt, self._devices[number], inbox, self._reports),
            daemon=True,
        )
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: the parent handles Ctrl-C
        process.start()
        signal.signal(signal.SIGINT, before)
        return process, inbox

    def work(
        self,
        jobs: Sequence[Job],
        on_rows: Callable[[int], None],
        on_outcomes: Callable[[list[Outcome]], None],
    ) -> None:
        """Hand out the jobs in order and pass on the workers' reports."""
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
        """Terminate the workers and their current jobs; finished runs are on disk."""
        for process, _ in self._workers:
            process.terminate()
        for process, _ in self._workers:
            process.join()


def _end_with_parent() -> None:
    """Exit when the parent does: a killed parent cannot stop its workers, which would wait for ever."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _worker(number: int, attempt: Attempt, device: torch.device, inbox: Any, reports: Any) -> None:
    """Run a worker process: do the jobs that arrive until terminated."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # plugins may print; stdout is reserved for the parent's answer
    unreported = 0

    def on_rows(rows: int) -> None:
        nonlocal unreported
        unreported += rows
        if unreported >= REPORT_ROWS:
            reports.put((number, "rows", unreported))
            unreported = 0

    while True:
        job = inbox.get()
        outcomes = attempt(job, device, on_rows)
        reports.put((number, "outcomes", outcomes))
