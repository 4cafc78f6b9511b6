"""Consoles: requested output goes to stdout, everything else to stderr."""

from rich.console import Console
from rich.markup import escape


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # handled by the command line


out = _Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line for people to stderr."""
    err.print(escape(line))
