"""The Ray launcher: one task per job, on a cluster that is already running.

Every node needs the same mtlbench. A node that sees the head's home reads data and writes results there;
one that does not is sent the data through the object store, and the head writes its results
(`mtlbench.launch.ray_node`). A job whose worker or node dies is tried again elsewhere. Failures and tracking
are recorded by the head.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from mtlbench.errors import MtlbenchError, UsageError
from mtlbench.files import atomic_folder
from mtlbench.home import Home
from mtlbench.launch.base import Job, failed
from mtlbench.launch.ray_node import Answer, Files, Order, Rows, work
from mtlbench.load import SPLITS, open_prepared
from mtlbench.plugins import VARIABLE, named_files
from mtlbench.runs.outcome import Outcome
from mtlbench.runs.store import finished, set_aside
from mtlbench.train.snapshot import EVERY

POLL_SECONDS = 0.2
CONNECT_SECONDS = 5
TRIES = 3
"""Attempts at a job whose workers die: enough to survive lost nodes, few for a job that exhausts memory."""


class Ray:
    """Tasks on a running cluster.

    Args:
        address: HOST:PORT of the cluster's head; `auto` means the cluster that this machine belongs to.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or "auto"

    def pick_device(self, name: str) -> torch.device:
        """See `Launcher.pick_device`; a GPU must be asked for, since the head may have none to detect."""
        if find_spec("ray") is None:
            raise UsageError("--launcher ray needs ray: pip install 'mtlbench[ray]', here and on every node.")
        return torch.device("cuda" if name == "cuda" else "cpu")

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
        """See `Launcher.launch`."""
        if not jobs:
            return
        plugins = tuple(named_files())
        with _connected(self._address) as raise_if_stopped, _token(home, dataset) as token:
            _need(device)
            fingerprint = jobs[0][0].fingerprint
            order = Order(home, dataset, fingerprint, token, device, plugins, again, wait)
            _Head(order, jobs, on_rows, on_outcomes).work(workers, raise_if_stopped)


class _Head:
    """Hands out the jobs of one grid and collects their outcomes."""

    def __init__(
        self,
        order: Order,
        jobs: Sequence[Job],
        on_rows: Callable[[int], None],
        on_outcomes: Callable[[list[Outcome]], None],
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._order, self._jobs, self._on_rows, self._on_outcomes = order, jobs, on_rows, on_outcomes
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._rows = ray.remote(num_cpus=0, scheduling_strategy=here)(Rows).remote()
        self._told = 0
        environment = {name: os.environ[name] for name in (VARIABLE, EVERY) if name in os.environ}
        self._task = ray.remote(
            num_cpus=1,
            num_gpus=int(order.device.type == "cuda"),
            max_retries=0,  # `_outcomes` retries, and counts attempts
            runtime_env={"env_vars": {"OMP_NUM_THREADS": "1", **environment}},
        )(work)
        self._data: Mapping[str, Any] | None = None
        self._deaths: Counter[int] = Counter()

    def work(self, workers: int | None, raise_if_stopped: Callable[[], None]) -> None:
        """Do all jobs, at most `workers` at a time; cancel those still running if this raises."""
        import ray

        waiting, flying = deque(range(len(self._jobs))), dict[Any, int]()
        try:
            while waiting or flying:
                while waiting and len(flying) < (workers or len(self._jobs)):
                    number = waiting.popleft()
                    job = self._jobs[number]
                    ref = self._task.remote(self._order, number, job, self._data, self._rows)
                    flying[ref] = number
                ended, _ = ray.wait(list(flying), num_returns=len(flying), timeout=0, fetch_local=False)
                for ref in ended:
                    number = flying.pop(ref)
                    outcomes = self._outcomes(number, ref)
                    if outcomes is None:
                        waiting.appendleft(number)
                    else:
                        self._on_outcomes(outcomes)
                self._tell_rows()
                raise_if_stopped()
                if not ended:
                    time.sleep(POLL_SECONDS)
        finally:
            for ref in flying:
                ray.cancel(ref, force=True)

    def _tell_rows(self) -> None:
        import ray

        with suppress(ray.exceptions.RayError):  # the progress bar stops, the work goes on
            total = ray.get(self._rows.total.remote(), timeout=CONNECT_SECONDS)
            if total > self._told:
                self._on_rows(total - self._told)
                self._told = total

    def _outcomes(self, number: int, ref: Any) -> list[Outcome] | None:
        """Return the outcomes of a job; None if it has to be done again."""
        import ray

        job = self._jobs[number]
        try:
            answer: Answer = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            return failed(job, error.cause if isinstance(error.cause, Exception) else error)
        except ray.exceptions.RayError as error:
            self._deaths[number] += 1
            if self._deaths[number] < TRIES:
                return None
            reason = f"its worker or node died {TRIES} times; last: {type(error).__name__}: {error}"
            return [Outcome(spec, "failed", reason=reason.splitlines()[0]) for spec in job]
        if answer is None:
            try:
                self._data = self._data or _send(self._order)
            except (MtlbenchError, OSError) as error:
                return failed(job, error)
            return None
        return [self._stored(outcome, files) for outcome, files in answer]

    def _stored(self, outcome: Outcome, files: Files) -> Outcome:
        """Write the result sent by a node that does not share the head's home."""
        if not files:
            return outcome
        home, dataset, spec = self._order.home, self._order.dataset, outcome.spec
        try:
            if not self._order.again:
                set_aside(home, dataset, spec)
            with atomic_folder(home.runs(dataset) / spec.hash) as folder:
                for name, content in files.items():
                    (folder / name).write_bytes(content)
        except OSError as error:
            return failed([spec], error)[0]
        result = finished(home, dataset, spec)
        if result is None:
            return Outcome(spec, "failed", reason="what its node sent back is damaged")
        return Outcome(spec, outcome.status, result)


def _send(order: Order) -> dict[str, Any]:
    """Put the files that training and evaluation read into the object store; return name -> reference.

    Raises:
        DataError: the dataset has been prepared anew meanwhile.
    """
    import ray

    prepared = order.home.prepared(order.dataset)
    files = [prepared / "manifest.json", *(f for split in SPLITS for f in (prepared / split).glob("*.npy"))]
    mapped = {file.relative_to(prepared).as_posix(): np.memmap(file, np.uint8, "r") for file in files}
    # Checked after mapping: mapped files keep their content, whatever is prepared from here on.
    open_prepared(order.home, order.dataset, fingerprint=order.fingerprint)
    return {name: ray.put(np.asarray(content)) for name, content in mapped.items()}


def _need(device: torch.device) -> None:
    import ray

    if device.type == "cuda" and not ray.cluster_resources().get("GPU"):
        raise UsageError(
            "--device cuda: no node of the cluster has a GPU (`ray status` lists what they have)."
        )


@contextmanager
def _token(home: Home, dataset: str) -> Iterator[Path]:
    """Yield a uniquely named file that exists only in this home."""
    path = home.training(dataset).parent / f"shared-{uuid4().hex}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _connected(address: str) -> Iterator[Callable[[], None]]:
    """Connect to the cluster; yield a function that handles signals received meanwhile.

    Ray installs its own handler and loses exceptions that other handlers raise while it waits, so the
    original handlers are called between its waits.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    come: list[signal.Signals] = []

    def raise_if_stopped() -> None:
        while come:
            number = come.pop(0)
            handler = handlers[number]
            if callable(handler):
                handler(number, None)
            elif handler == signal.SIG_DFL:
                raise SystemExit(128 + number)

    joined = not ray.is_initialized()
    try:
        if joined:
            _join(address)
        for number in numbers:
            signal.signal(number, lambda signum, frame: come.append(signal.Signals(signum)))
        yield raise_if_stopped
    finally:
        if joined:
            ray.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _join(address: str) -> None:
    """Connect, and say what to do if that fails; Ray would wait minutes for a port where nothing listens."""
    import ray

    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, OverflowError) as error:
        raise UsageError(
            f"No Ray cluster at --address {address}: {str(error).rstrip('.')}. Start one: `ray start --head` "
            "here, `ray start --address HOST:6379` on every other node; then --address auto, or HOST:6379."
        ) from error
