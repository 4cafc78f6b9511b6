"""Commands that list and show what can be named, and inspect the results of runs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mtlbench.cli.app import app
from mtlbench.cli.options import (
    Json,
    Plugins,
    answer,
    complete_balancer,
    complete_dataset,
    complete_method,
    flags,
    print_json,
)
from mtlbench.errors import UsageError
from mtlbench.home import Home


class Kind(StrEnum):
    """The kinds of things that can be listed."""

    METHODS = "methods"
    BALANCERS = "balancers"
    DATASETS = "datasets"
    BENCHMARKS = "benchmarks"


@app.command(name="list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """List what can be named: methods, balancers, datasets, benchmarks."""
    from mtlbench.catalogue import START, catalogue

    rows = catalogue(kind, Home.find())
    if as_json:
        print_json(rows)
    else:
        from mtlbench import render

        render.catalogue(rows, START if kind == Kind.METHODS else "")


def _complete_name(incomplete: str) -> list[str]:
    return [
        name
        for complete in (complete_dataset, complete_method, complete_balancer)
        for name in complete(incomplete)
    ]


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(help="A method, balancer, dataset or benchmark file.", autocompletion=_complete_name),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Count a method's weights on this one.  [default: the one prepared last]"),
    ] = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show all about one name: a method's equations, options, pitfalls and size, or a dataset's card."""
    from mtlbench.catalogue import show as look_up

    found = look_up(name, Home.find(), dataset or "", flags(plugins))
    if as_json:
        print_json(found)
    else:
        from mtlbench import render

        render.shown(found)


@app.command()
def inspect(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's hash or its beginning, 4 characters or more; or METHOD, or METHOD+BALANCER: its "
            "newest arm, the mean over its seeds."
        ),
    ],
    dataset: Annotated[str | None, typer.Option(help="Look among its results alone.")] = None,
    svg: Annotated[
        Path | None, typer.Option(help="Also write it as a figure.", metavar="FILE.svg", dir_okay=False)
    ] = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Look inside a run: learning curves, task weights, gates, gradients, affinities, dead units."""
    from mtlbench import render
    from mtlbench.files import write_text
    from mtlbench.inspection.figure import draw
    from mtlbench.inspection.summary import inspect as look

    if svg is not None and svg.suffix.lower() != ".svg":
        raise UsageError(f"--svg {svg}: the figure is SVG; give it a name that ends in .svg")
    document = look(Home.find(), run, dataset or "")
    if svg is not None:
        write_text(svg, draw(document))
        render.say(f"Wrote {svg}")
    answer(document, as_json, render.inspection)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Browse the runs in MLflow; Ctrl-C ends it."""
    from mtlbench import render
    from mtlbench.tracking.ui import serve

    raise typer.Exit(serve(Home.find(), port, not no_open, render.say))


@app.command()
def track(
    dataset: Annotated[
        str | None, typer.Option(help="Of that dataset alone.", autocompletion=complete_dataset)
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Into a new store; the old file is kept under another name.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Write to MLflow the results that it lacks; trains nothing."""
    from mtlbench import render
    from mtlbench.tracking.rebuild import track_stored

    number = track_stored(Home.find(), dataset or "", render.say, anew=rebuild)
    render.say(f"{number} benchmarks are in MLflow. Look at them: mtlbench ui")
