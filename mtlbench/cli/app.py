"""The program and its command groups; the other files here add the commands."""

from typing import Annotated

import typer

from mtlbench import __version__

app = typer.Typer(
    name="mtlbench",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Does one multi-task model beat your single-task models? Which tasks gain, which lose, "
    "how sure is that, and what does it cost?",
    epilog="Start here: [bold]mtlbench prepare shop[/bold], then [bold]mtlbench run --method mmoe[/bold].",
)

bench = typer.Typer(no_args_is_help=True, help="Measure how fast mtlbench is, here.")
app.add_typer(bench, name="bench")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mtlbench {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; goes before the command.")
    ] = False,
) -> None:
    pass  # main() looks for --debug itself, since errors reach it and not this function


class Stopped(BaseException):
    """SIGINT or SIGTERM, raised so that worker processes and scratch folders are cleaned up on the way out.

    Not KeyboardInterrupt: typer would silently end the program on it.
    """

    afterwards = "What had finished is kept; the same command goes on from there."
