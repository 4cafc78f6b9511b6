"""Progress bars on a terminal; elsewhere one line for each stage or run that ends."""

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
    """Units per second since the stage began."""

    def render(self, task: ProgressTask) -> Text:
        """Format the rate, such as 52,310/s, or 11.4 MB/s where files are read."""
        if task.speed and task.description in STAGES_IN_BYTES:
            return Text(f"{task.speed / 1e6:,.1f} MB/s", style="dim")
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


def bar(*columns: ProgressColumn) -> Progress:
    """Return a bar that shows on a terminal only; `columns` come before the remaining time."""
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
    """A bar for the current stage; nothing without a terminal (each stage ends with a line of its own)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._task: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show `done` of `total` units of the stage; a total of 0 means unknown."""
        if stage != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage, self._task = stage, self._progress.add_task(stage, total=total or None)
        self._progress.update(self._task, completed=done, total=total or None)


@contextmanager
def stages() -> Iterator[_Stages]:
    """Show progress of the stages of a preparation."""
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
        """Advance by the number of rows just trained on."""
        self._progress.advance(self._task, rows)

    def ended(self, outcome: "Outcome") -> None:
        """Record that a run is done or has failed."""
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
    """Show progress of a grid of `runs` runs that trains on at most `rows` rows."""
    with bar(_Rate()) as progress:
        yield _Grid(progress, runs, rows)
