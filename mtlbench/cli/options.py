"""Options shared by several commands, and printing of documents."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from mtlbench.errors import UsageError


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Precision of matrix products."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


class Launcher(StrEnum):
    """Launchers of runs: the names in mtlbench.launch."""

    LOCAL = "local"
    RAY = "ray"


_DOCUMENT: ContextVar[TextIO] = ContextVar("where the document of --json goes")


def _keep_for_document(context: typer.Context, wanted: bool) -> bool:
    if wanted:
        _DOCUMENT.set(sys.stdout)
        context.with_resource(redirect_stdout(sys.stderr))
    return wanted


def _use_plugins(files: list[Path] | None) -> list[Path]:
    if files or os.environ.get("MTLBENCH_PLUGINS"):
        from mtlbench.plugins import use

        use(files or [])
    return files or []


def flags(plugins: list[Path] | None = None, **values: str | None) -> list[str]:
    """Return the given options as flags, to repeat in a suggested command."""
    given = [text for flag, value in values.items() if value for text in (f"--{flag}", value)]
    return [*given, *(text for file in plugins or () for text in ("--plugin", str(file)))]


def complete_dataset(incomplete: str) -> list[str]:
    """Complete the name of a dataset."""
    from mtlbench.data import DATASETS

    return [name for name in DATASETS if name.startswith(incomplete)]


def complete_method(incomplete: str) -> list[str]:
    """Complete the name of a method."""
    from mtlbench.methods import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


def complete_balancer(incomplete: str) -> list[str]:
    """Complete the name of a balancer."""
    from mtlbench.balancing import BALANCERS

    return [name for name in BALANCERS if name.startswith(incomplete)]


def assignments(given: list[str] | None) -> dict[str, str]:
    """Parse KEY=VALUE options into a dict."""
    pairs = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text}: write it as KEY=VALUE.")
        pairs[key.strip()] = value.strip()
    return pairs


def print_json(document: Any) -> None:
    """Print the document of --json, the only output on stdout."""
    typer.echo(json.dumps(document, indent=1, allow_nan=False), file=_DOCUMENT.get())


def answer(document: Any, as_json: bool, say: Callable[[Any], object]) -> None:
    """Print a document as JSON, or with `say`."""
    if as_json:
        print_json(document)
    else:
        say(document)


def page(document: Any, as_json: bool, markdown: Callable[[Any], str]) -> None:
    """Print a document as JSON, or as its Markdown page."""
    answer(document, as_json, lambda written: typer.echo(markdown(written), nl=False))


Baseline = Annotated[
    str | None,
    typer.Option(
        help="The method that gains are measured against.  [default: the file's, else single-task]",
        autocompletion=complete_method,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file with methods or balancers of your own; repeatable.",
        callback=_use_plugins,
        dir_okay=False,
    ),
]
"""Plugin files, registered while the command line is parsed; commands pass them on to suggested commands."""
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document and nothing else on stdout.",
        callback=_keep_for_document,
        is_eager=True,
    ),
]
"""The --json flag; all other output, for example of a plugin, goes to stderr."""
