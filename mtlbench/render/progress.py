"""Progress bars, on a terminal; elsewhere a line for each stage or run that ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as ProgressTask
from rich.text import Text

from mtlbench.config import arm_name
from mtlbench.render.console import err, say

if TYPE_CHECKING:
    from mtlbench.experiment.run import Bar
    from mtlbench.runs.outcome import Outcome

STAGES_IN_BYTES = ("download", "check", "checksum", "unpack")


class _Rate(ProgressColumn):
    """Units a second, since the stage began."""

    def render(self, task: ProgressTask) -> Text:
        """Such as 52,310/s, or 11.4 MB/s where files are read."""
        if task.speed and task.description in STAGES_IN_BYTES:
            return Text(f"{task.speed / 1e6:,.1f} MB/s", style="dim")
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


def bar(*columns: ProgressColumn) -> Progress:
    """A bar on a terminal, nothing elsewhere; the columns stand before the time that remains."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


class _Stages:
    """A bar for the stage at hand; where no terminal is, nothing (each stage ends with a line of its own)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._task: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of the stage are behind us; total 0 means that nobody knows."""
        if stage != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage, self._task = stage, self._progress.add_task(stage, total=total or None)
        self._progress.update(self._task, completed=done, total=total or None)


@contextmanager
def stages() -> Iterator[_Stages]:
    """Progress of the stages of a preparation."""
    with bar(_Rate()) as progress:
        yield _Stages(progress)


class _Grid:
    """A bar over the rows of a whole grid, and a line for each run that ends."""

    def __init__(self, progress: Progress, runs: int, rows: int) -> None:
        self._progress, self._runs, self._done = progress, runs, 0
        self._began = time.perf_counter()
        self._task = progress.add_task(self._title(), total=rows)

    def _title(self) -> str:
        return f"Training, {self._done} of {self._runs} runs done, rows"

    def rows(self, rows: int) -> None:
        """So many more rows have been trained on."""
        self._progress.advance(self._task, rows)

    def ended(self, outcome: "Outcome") -> None:
        """A run is done, or has failed."""
        self._done += 1
        spec = outcome.spec
        name = arm_name(spec.method, spec.balancer)
        self._progress.update(self._task, description=self._title())
        if outcome.status == "failed":
            say(f"FAILED {name}, seed {spec.seed}: {outcome.reason}")
        elif not err.is_terminal:
            spent = time.perf_counter() - self._began
            say(f"[{self._done}/{self._runs}] {name}, seed {spec.seed}: done after {spent:.0f} s")


@contextmanager
def grid(runs: int, rows: int) -> "Iterator[Bar]":
    """Progress of a grid of runs that takes so many rows at the most."""
    with bar(_Rate()) as progress:
        yield _Grid(progress, runs, rows)
