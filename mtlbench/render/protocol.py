"""The acceptance tests of the protocol: their progress bar and the tables of findings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from mtlbench.render.console import out
from mtlbench.render.progress import bar

if TYPE_CHECKING:
    from mtlbench.protocol.validate import Bar


class _Work:
    """Progress bar over the expected seconds of work."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def __call__(self, text: str, done: float, total: float) -> None:
        """Show `done` of `total` seconds, and `text` for the current step."""
        self._progress.update(self._task, description=text, completed=done, total=total)


@contextmanager
def work() -> "Iterator[Bar]":
    """Show progress of the checks, or of the simulation of rules; the text carries the rate."""
    with bar() as progress:
        yield _Work(progress)


def findings(document: Mapping[str, Any]) -> None:
    """Print one row per finding, those that do not hold in red."""
    table = Table(show_lines=True)
    for head in ("check", "what", "bound", "measured", "scores"):
        table.add_column(head, no_wrap=head == "check", overflow="fold")
    for f in document["findings"]:
        cells = (f["check"], f["what"], f["bound"], f["measured"], f["simulated"])
        table.add_row(*map(escape, cells), style="" if f["holds"] else "bold red")
    out.print(table)
    broken = [f["check"] for f in document["findings"] if not f["holds"]]
    total = len(document["findings"])
    if broken:
        names = ", ".join(dict.fromkeys(broken))
        out.print(f"[bold red]{len(broken)} of {total} bounds are BROKEN[/bold red]: {names}")
    else:
        out.print(f"All {total} bounds hold, in {document['wall_seconds'] / 60:.1f} minutes.")


def rules(document: Mapping[str, Any]) -> None:
    """Print one row per rule: its largest rate of false calls, and the conclusion."""
    table = Table(title=f"False calls at a nominal {document['nominal']:.0%}, at worst", show_lines=True)
    for head in ("rule", "5 seeds or more", "3 seeds", "worst where", "conclusion"):
        table.add_column(head, overflow="fold", justify="right" if "seeds" in head else "left")
    for one in document["rules"]:
        rates = (f"{one[key]:.1%}" for key in ("largest_rate_5_seeds_or_more", "largest_rate_3_seeds"))
        table.add_row(one["rule"], *rates, one["setting"], one["conclusion"])
    out.print(table)
