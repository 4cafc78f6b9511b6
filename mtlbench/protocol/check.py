"""What an acceptance test consists of: the check, the laboratory that it works in, the findings it returns.

A part of a check is a top-level function `(lab: Lab) -> list[Finding]`. It does its work through `lab.map`,
which spreads items over processes and moves the progress bar, and states each claim as one finding.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, TypeVar

from mtlbench.home import Home
from mtlbench.registry import Entry

T = TypeVar("T")
R = TypeVar("R")

CHANCE_OF_FALSE_ALARM = 0.01
"""Largest probability that luck breaks a bound on a count when the true rate is the stated one."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the table.

    Attributes:
        check: number of the check in the protocol, such as "A6".
        what: the claim in plain words, such as "known positive (p = 1, 300 of 4000 rows) is called POSITIVE".
        bound: what must hold, such as "at least 80 %".
        measured: what came out, such as "97 % (58 of 60)".
        holds: whether the bound holds.
        seeds: the seeds and replicates behind it: "data seeds 1000-1059, training seeds 0-9".
        simulated: where the scores come from: "scores simulated under the crossed model", "trained", "exact".
    """

    check: str
    what: str
    bound: str
    measured: str
    holds: bool
    seeds: str
    simulated: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A number of things, in the full validation and in the quick one."""

    full: int
    quick: int

    def of(self, quick: bool) -> int:
        """Return the number for this validation."""
        return self.quick if quick else self.full


@dataclass(frozen=True, slots=True)
class Part:
    """One function of a check.

    Attributes:
        target: `module:function`, imported when it runs.
        items: number of items that the part passes to `Lab.map` in all.
        seconds: approximate time of one item on one core, its weight in the progress bar.
    """

    target: str
    items: Scale
    seconds: float

    def expected_seconds(self, quick: bool) -> float:
        """Return the expected time on one core."""
        return self.items.of(quick) * self.seconds

    def run(self, lab: "Lab") -> list[Finding]:
        """Run the part and return its findings."""
        findings: list[Finding] = Entry(self.target).load()(lab)
        return findings


@dataclass(frozen=True, slots=True)
class Check:
    """One acceptance test of the protocol: its claim, and the parts that test it."""

    claim: str
    parts: tuple[Part, ...]


@dataclass(slots=True)
class Workers:
    """Processes that work on items, one thread each; spawned at the first use, none if `number` is 1."""

    number: int
    _pool: ProcessPoolExecutor | None = None
    _environment: dict[str, str | None] = field(default_factory=dict)

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Generator[R, None, None]:
        """Yield the function's values, in the order of the items."""
        if self.number == 1 or len(items) <= 1:
            yield from map(function, items)
            return
        self._pool = self._pool or self._start()
        try:
            yield from self._pool.map(function, items)
        except BaseException:  # an item failed or a process died: the pool is no longer needed
            self.stop()
            raise

    def _start(self) -> ProcessPoolExecutor:
        self._environment = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(dict.fromkeys(THREADS, "1"))  # read by the children when they load numpy and torch
        return ProcessPoolExecutor(self.number, mp_context=get_context("spawn"), initializer=_begin)

    def stop(self) -> None:
        """End the processes, even in the middle of an item."""
        if self._pool is None:
            return
        processes: list[Any] = list((self._pool._processes or {}).values())  # terminate_workers from 3.14 on
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        self._pool = None
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _begin() -> None:
    """Make a worker leave Ctrl-C to its parent, and end at once when terminated."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Lab:
    """Resources of a check.

    Attributes:
        home: scratch home, deleted when the validation ends; checks delete earlier what no other check needs.
        quick: whether to use fewer replicates, as in `Scale`.
        workers: processes that work on the items; by default this process, one item after the other.
        on_item: called when an item is done.
    """

    home: Home
    quick: bool = False
    workers: Workers = field(default_factory=lambda: Workers(1))
    on_item: Callable[[], None] = _nothing

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield the function's values in the order of the items, computed by the workers.

        The function must be importable (top level, or `functools.partial` of one); items and values must
        pickle.
        """
        with contextlib.closing(self.workers.map(function, list(items))) as values:
            for value in values:
                self.on_item()
                yield value


def most_calls(replicates: int, rate: float = 0.05) -> int:
    """Return the most calls in `replicates` that a true rate of `rate` still explains: 18 in 200 at .05.

    The rule is the same for every number of replicates: the smallest k with P(X > k) at most
    `CHANCE_OF_FALSE_ALARM`, X binomial.
    """
    from scipy.stats import binom

    return int(binom.isf(CHANCE_OF_FALSE_ALARM, replicates, rate))


def fewest_calls(replicates: int, rate: float) -> int:
    """Return the fewest calls that a true rate of `rate` still explains: the mirror of `most_calls`."""
    return replicates - most_calls(replicates, 1 - rate)


def share(calls: int, replicates: int) -> str:
    """Format a rate, such as "97 % (58 of 60)"; with one decimal from 500 replicates on."""
    digits = 1 if replicates >= 500 else 0
    return f"{100 * calls / replicates:.{digits}f} % ({calls:,} of {replicates:,})"
