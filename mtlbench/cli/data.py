"""The command that turns raw files into training matrices."""

from pathlib import Path
from typing import Annotated

import typer

from mtlbench.cli.app import app
from mtlbench.cli.options import Json, answer, assignments, complete_dataset, print_json
from mtlbench.errors import UsageError
from mtlbench.home import Home


@app.command()
def prepare(
    dataset: Annotated[
        str | None,
        typer.Argument(help="Which one; see `mtlbench list datasets`.", autocompletion=complete_dataset),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="Your own table instead: the card that describes it.", dir_okay=False)
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(help="A raw file that you have, packed or not, or a folder of them; repeatable."),
    ] = None,
    users: Annotated[str | None, typer.Option(help="How many users to take, or `all`.")] = None,
    negatives: Annotated[int | None, typer.Option(help="Sampled negatives for each positive.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the drawing of negatives (and of a simulator).")
    ] = None,
    categories: Annotated[
        str | None, typer.Option(help="Which categories of a set that has several, with commas between.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="How to split, where a set offers several ways.")] = None,
    knobs: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KNOB=VALUE", help="Another setting of this dataset; repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Keep it under another name.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace what is prepared under that name.")] = False,
    raw_only: Annotated[
        bool, typer.Option("--raw-only", help="shop: only write a long raw log, in Taobao's format.")
    ] = False,
    events: Annotated[int | None, typer.Option(help="With --raw-only: how many rows it has.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Bring a dataset from its raw file to training matrices, once."""
    from mtlbench import render
    from mtlbench.prepare import prepare as prepare_dataset
    from mtlbench.prepare import prepare_own, summary

    flags = {
        "users": users,
        "negatives": negatives,
        "seed": seed,
        "categories": categories,
        "split": split,
    }
    options = {key: value for key, value in flags.items() if value is not None} | assignments(knobs)
    if raw_only or events is not None:
        others = card or source or name or set(options) - {"seed"}
        if dataset != "shop" or not raw_only or events is None or others:
            raise UsageError(
                "--raw-only and --events go together, with the shop and at most --seed: "
                "mtlbench prepare shop --raw-only --events 1000000"
            )
        _write_volume(events, seed or 0, as_json)
        return
    if dataset is not None and card is not None:
        raise UsageError(f"Prepare {dataset}, or the table of --card {card}? Give one of them.")
    if dataset is None and card is None:
        raise UsageError(
            "Prepare what? Name a dataset (mtlbench list datasets), for example: mtlbench prepare shop; or "
            "give the card of your own table: mtlbench prepare --card my-shop.toml"
        )
    if card is not None and (source or options):
        raise UsageError(f"With --card, {card} says all: leave out --source and the dataset's settings.")
    home = Home.find()
    with render.stages() as progress:
        prepared = (
            prepare_own(home, card, force=force, name=name, report=render.say, progress=progress)
            if card is not None
            else prepare_dataset(
                home,
                dataset or "",
                source=source or (),
                options=options,
                force=force,
                name=name,
                report=render.say,
                progress=progress,
            )
        )
    answer(summary(prepared), as_json, render.prepared)


def _write_volume(events: int, seed: int, as_json: bool) -> None:
    """Run `prepare shop --raw-only`: write a long log, and print the command that prepares it."""
    from mtlbench import render
    from mtlbench.data.recipe import Reporting
    from mtlbench.data.volume import PREFIX, write_volume

    home = Home.find()
    path = home.raw("shop") / f"{PREFIX}{events}-seed-{seed}.csv"
    command = f"mtlbench prepare taobao --source {home.relative(path)} --as volume"
    with render.stages() as progress:
        write_volume(events, seed, path, Reporting(command, render.say, progress))
    if as_json:
        print_json({"path": home.relative(path), "events": events, "seed": seed})
    else:
        render.say(f"Wrote {home.relative(path)}: {events:,} simulated rows.\nNext: {command}")
