"""The command line: a command parses, calls one function, prints. Nothing heavy loads before it is needed."""

import errno
import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TextIO

import typer

from mtlbench import __version__
from mtlbench.errors import MtlbenchError, UsageError
from mtlbench.home import Home

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


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """In what matrices are multiplied."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"


class Launcher(StrEnum):
    """What brings runs to where they are trained: the names in mtlbench.launch."""

    LOCAL = "local"
    RAY = "ray"


class Kind(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    BALANCERS = "balancers"
    DATASETS = "datasets"
    BENCHMARKS = "benchmarks"


Baseline = Annotated[
    str | None,
    typer.Option(
        help="The method that gains are measured against.  [default: the file's, else single-task]",
        autocompletion=lambda incomplete: _complete_method(incomplete),
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file with methods or balancers of your own; repeatable.",
        callback=lambda files: _use_plugins(files),
        dir_okay=False,
    ),
]
"""Registered while the command line is parsed; commands keep them for those that they suggest."""
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document and nothing else on stdout.",
        callback=lambda ctx, wanted: _keep_for_document(ctx, wanted),
        is_eager=True,
    ),
]
"""What else is printed, by a plugin say, goes to stderr."""
_DOCUMENT: ContextVar[TextIO] = ContextVar("where the document of --json goes")


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
    pass  # main() looks for --debug itself, since the error reaches it and not this function


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


def _flags(plugins: list[Path] | None = None, **values: str | None) -> list[str]:
    """What was given, as a command that is suggested has to give it again."""
    given = [text for flag, value in values.items() if value for text in (f"--{flag}", value)]
    return [*given, *(text for file in plugins or () for text in ("--plugin", str(file)))]


def _complete_dataset(incomplete: str) -> list[str]:
    from mtlbench.data import DATASETS

    return [name for name in DATASETS if name.startswith(incomplete)]


def _complete_method(incomplete: str) -> list[str]:
    from mtlbench.methods import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


def _complete_balancer(incomplete: str) -> list[str]:
    from mtlbench.balancing import BALANCERS

    return [name for name in BALANCERS if name.startswith(incomplete)]


@app.command()
def prepare(
    dataset: Annotated[
        str | None,
        typer.Argument(help="Which one; see `mtlbench list datasets`.", autocompletion=_complete_dataset),
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
    options = {key: value for key, value in flags.items() if value is not None} | _assignments(knobs)
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
    if as_json:
        _print_json(summary(prepared))
    else:
        render.prepared(summary(prepared))


def _write_volume(events: int, seed: int, as_json: bool) -> None:
    """`prepare shop --raw-only`: a long log, and the command that prepares it."""
    from mtlbench import render
    from mtlbench.data.recipe import Reporting
    from mtlbench.data.volume import PREFIX, write_volume

    home = Home.find()
    path = home.raw("shop") / f"{PREFIX}{events}-seed-{seed}.csv"
    command = f"mtlbench prepare taobao --source {home.relative(path)} --as volume"
    with render.stages() as progress:
        write_volume(events, seed, path, Reporting(command, render.say, progress))
    if as_json:
        _print_json({"path": home.relative(path), "events": events, "seed": seed})
    else:
        render.say(f"Wrote {home.relative(path)}: {events:,} simulated rows.\nNext: {command}")


@app.command()
def run(
    benchmark: Annotated[
        Path | None, typer.Argument(help="A benchmark file; see `mtlbench list benchmarks`.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A prepared dataset; the most recent one if not given.")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="A method to train; repeatable.", autocompletion=_complete_method),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="A task to learn; repeatable.  [default: the dataset's]"),
    ] = None,
    balancer: Annotated[
        str | None,
        typer.Option(
            help="How task losses are weighed.  [default: equal]", autocompletion=_complete_balancer
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds 0 to N-1.  [default: 5]", min=1)] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    epochs: Annotated[int | None, typer.Option(help="At most so many.  [default: 4]", min=1)] = None,
    batch_rows: Annotated[int | None, typer.Option(help="Rows a step.  [default: 512]", min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.  [default: 0.003]")] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of matrix products; bf16 is faster where hardware has it.  [default: fp32]"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="method.KEY=VALUE",
            help="An option of the methods (method.KEY) or the balancer (balancer.KEY); repeatable.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes on a CPU.  [default: one a core]", min=1)
    ] = None,
    launcher: Annotated[
        Launcher, typer.Option(help="Train on this machine, or on a Ray cluster that is running.")
    ] = Launcher.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Of the Ray cluster's head.  [default: auto, the one here]"),
    ] = None,
    force: Annotated[bool, typer.Option(help="Train again what already has a result.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Train the I-th of N parts of the runs alone; no verdicts."),
    ] = None,
    baseline: Baseline = None,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Do not add the baseline where it is absent.")
    ] = False,
    no_track: Annotated[bool, typer.Option("--no-track", help="Write nothing to MLflow.")] = False,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train methods and their single-task baseline over seeds; say which tasks gain and which lose."""
    from mtlbench import render
    from mtlbench.config import Benchmark, fill, read_benchmark
    from mtlbench.experiment import Execution, with_options
    from mtlbench.experiment import run as run_experiment

    if benchmark is None and not methods:
        raise UsageError(
            "Nothing to run. Name a method: mtlbench run --method mmoe, "
            "or a benchmark file: mtlbench run benchmarks/demo.toml"
        )
    if benchmark is not None and (methods or balancer):
        raise UsageError(f"Give {benchmark}, or --method and --balancer, not both: the file names them.")
    values = read_benchmark(benchmark) if benchmark else {}
    if methods:
        values["run"] = [{"method": method, "balancer": balancer or "equal"} for method in methods]
    flags = {
        "epochs": epochs,
        "batch_rows": batch_rows,
        "learning_rate": learning_rate,
        "precision": precision and precision.value,
    }
    values["training"] = {
        **values.get("training", {}),
        **{key: value for key, value in flags.items() if value is not None},
    }
    given = {"dataset": dataset, "seeds": seeds, "tasks": tasks}
    values.update({key: value for key, value in given.items() if value is not None})
    options = _assignments(settings)
    chosen = with_options(fill(Benchmark, values, str(benchmark or "mtlbench run")), options)
    if not no_baseline:  # made for the arms as they are now; it has their options too
        chosen = with_options(chosen.with_baseline(baseline or ""), options)
    document = run_experiment(
        Home.find(),
        chosen.with_family(baseline=baseline),
        Execution(
            device=device,
            workers=workers,
            force=force,
            track=not no_track,
            shard=_shard(shard),
            launcher=launcher,
            address=address,
        ),
        say=render.say,
        bar=render.grid,
    )
    if shard and not as_json:
        render.shard(document)
    else:
        _show(document, as_json)
    if any(one["status"] == "failed" for one in document["runs"]):
        raise typer.Exit(1)


@app.command()
def plan(
    benchmark: Annotated[Path, typer.Argument(help="A benchmark file; see `mtlbench list benchmarks`.")],
    dataset: Annotated[
        str | None, typer.Option(help="A prepared dataset; the file's, else the most recent one.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    workers: Annotated[
        int | None, typer.Option(help="Processes on a CPU.  [default: one a core]", min=1)
    ] = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Say what BENCHMARK can detect and how long it takes, before it is run.

    Trains a pilot, five seeds of the two cheapest methods, which `run` will not do again. Only its variances
    are used: its gains are neither shown nor kept in the plan.
    """
    from mtlbench import render
    from mtlbench.config import Benchmark, fill, read_benchmark
    from mtlbench.experiment import Execution
    from mtlbench.planning.plan import plan_benchmark

    values = read_benchmark(benchmark)
    if dataset is not None:
        values["dataset"] = dataset
    document = plan_benchmark(
        Home.find(),
        fill(Benchmark, values, str(benchmark)).with_baseline(),
        Execution(device=device, workers=workers),
        say=render.say,
        bar=render.grid,
    )
    if as_json:
        _print_json(document)
    else:
        render.plan(document)


@app.command()
def compare(
    benchmark: Annotated[
        Path | None, typer.Argument(help="A benchmark file: compare its runs, with its family.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Whose results; of the newest result if not given.")
    ] = None,
    baseline: Baseline = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Error rate of the whole family.  [default: the file's, else 0.05]"),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Smallest effect that matters.  [default: the file's, else 0.001 AUC, 0.005 R2]"),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Compare by auc, gauc, log_loss or r2, on the tasks that have it.  [default: auc, r2]"
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Also look at groups of test rows, to explore: cold-start, feedback-ratio (or "
            "feedback-ratio:TASK,TASK), or a column of the data. Needs the prepared data."
        ),
    ] = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Say again which tasks gain and which lose, from results/ alone; trains nothing."""
    from dataclasses import replace

    from mtlbench import render
    from mtlbench.config import Family, fill, load_benchmark
    from mtlbench.stored import compare_stored

    changes = {"baseline": baseline, "alpha": alpha, "delta": delta, "metric": metric}
    given = {key: value for key, value in changes.items() if value is not None}
    chosen = load_benchmark(benchmark).with_family(**given).with_baseline() if benchmark else None
    if chosen and given:
        chosen = replace(chosen, name=f"{chosen.name} and changed by options")
    family = chosen.family if chosen else fill(Family, given, "mtlbench compare")
    written = _flags(plugins, dataset=dataset, baseline=baseline)
    command = shlex.join(["mtlbench", "run", *([str(benchmark)] if benchmark else []), *written])
    document = compare_stored(Home.find(), chosen, dataset or "", render.say, family, by, command)
    _show(document, as_json)


@app.command("validate-protocol")
def validate_protocol(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer replicates: minutes; writes nothing.")
    ] = False,
    only: Annotated[
        str, typer.Option(help="These checks alone, with commas between: A6,A9; writes nothing.")
    ] = "",
    rules: Annotated[
        bool, typer.Option("--rules", help="Instead, simulate this test beside the ones that others use.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes.  [default: one a core]", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Test the verdicts against ground truth; write what was bound and measured to results/protocol/."""
    from mtlbench import render
    from mtlbench.launch import cores
    from mtlbench.protocol.rules_report import compare_rules
    from mtlbench.protocol.validate import validate

    if rules and only:
        raise UsageError(f"--rules and --only {only}: the rules are one simulation; give one of the two.")
    home, number = Home.find(), workers or cores()
    try:
        if rules:
            document = compare_rules(home, quick=quick, workers=number, say=render.say, bar=render.work)
        else:
            document = validate(
                home,
                quick=quick,
                only=only.split(",") if only else (),
                workers=number,
                say=render.say,
                bar=render.work,
            )
    except _Stopped as stop:
        stop.afterwards = "Nothing was written; the same command starts anew (--only takes single checks)."
        raise
    if as_json:
        _print_json(document)
    else:
        (render.rules if rules else render.findings)(document)
    if not document.get("holds", True):
        raise typer.Exit(1)


@app.command()
def publish(
    benchmark: Annotated[Path, typer.Argument(help="A benchmark file whose runs are all done.")],
    dataset: Annotated[
        str | None, typer.Option(help="Whose results; the file's, else of the newest result.")
    ] = None,
    baseline: Baseline = None,
    plugins: Plugins = None,
) -> None:
    """Write the verdicts of BENCHMARK to results/, small enough to commit, with all they can be traced by."""
    from mtlbench import render
    from mtlbench.config import load_benchmark
    from mtlbench.publish import publish as write

    home = Home.find()
    written = _flags(plugins, dataset=dataset, baseline=baseline)
    command = shlex.join(["mtlbench", "run", str(benchmark), *written])
    folder = write(home, load_benchmark(benchmark), dataset or "", command, render.say, baseline or "")
    render.say(f"Wrote {home.relative(folder)}/README.md, comparisons.json and runs.json.")


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
        _print_json(rows)
    else:
        from mtlbench import render

        render.catalogue(rows, START if kind == Kind.METHODS else "")


def _complete_name(incomplete: str) -> list[str]:
    return [
        name
        for complete in (_complete_dataset, _complete_method, _complete_balancer)
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
    """Show one thing whole: a method's equations, options, pitfalls and size, or a dataset's card."""
    from mtlbench.catalogue import show as look_up

    found = look_up(name, Home.find(), dataset or "", _flags(plugins))
    if as_json:
        _print_json(found)
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
    from mtlbench.home import write_text
    from mtlbench.inspection import inspect as look
    from mtlbench.report.inspection_figure import draw

    if svg is not None and svg.suffix.lower() != ".svg":
        raise UsageError(f"--svg {svg}: the figure is SVG; give it a name that ends in .svg")
    document = look(Home.find(), run, dataset or "")
    if svg is not None:
        write_text(svg, draw(document))
        render.say(f"Wrote {svg}")
    if as_json:
        _print_json(document)
    else:
        render.inspection(document)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Browse the runs in MLflow; Ctrl-C ends it."""
    from mtlbench import render
    from mtlbench.ui import serve

    raise typer.Exit(serve(Home.find(), port, not no_open, render.say))


@app.command()
def track(
    dataset: Annotated[
        str | None, typer.Option(help="Of that dataset alone.", autocompletion=_complete_dataset)
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Into a new store; the old file is kept under another name.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Write to MLflow what results/ has and it has not; trains nothing."""
    from mtlbench import render
    from mtlbench.rebuild import track_stored

    number = track_stored(Home.find(), dataset or "", render.say, anew=rebuild)
    render.say(f"{number} benchmarks are in MLflow. Look at them: mtlbench ui")


@bench.command("prepare")
def bench_prepare(
    events: Annotated[
        str, typer.Option(help="Lengths of the simulated logs, with commas between.")
    ] = "1000000,10000000,100000000",
    users_share: Annotated[
        float, typer.Option(help="Share of each log's users to sample.", min=1e-6, max=1)
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the logs and of the negatives.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Time and memory of `prepare` on long raw logs, beside a bare scan; writes results/speed/prepare.*."""
    from mtlbench import render
    from mtlbench.bench.prepare import bench_prepare as measure
    from mtlbench.bench.prepare import markdown
    from mtlbench.data.recipe import Reporting

    lengths = [text.strip().replace("_", "") for text in events.split(",")]
    if not all(text.isdecimal() and int(text) > 0 for text in lengths):
        raise UsageError(
            f"--events {events}: give lengths above 0 with commas between, such as 1000000,10000000"
        )
    with render.stages() as progress:
        document = measure(
            Home.find(),
            [int(text) for text in lengths],
            users_share,
            seed,
            Reporting("mtlbench bench prepare", render.say, progress),
        )
    if as_json:
        _print_json(document)
    else:
        typer.echo(markdown(document), nl=False)


@bench.command("balancers")
def bench_balancers(
    dataset: Annotated[
        str | None, typer.Option(help="A prepared dataset; the most recent one if not given.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="The network that they train.", autocompletion=_complete_method)
    ] = "hard-sharing",
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    rounds: Annotated[int, typer.Option(help="Turns of each balancer.", min=1)] = 21,
    as_json: Json = False,
) -> None:
    """Time of a training step with each balancer, against equal weights; writes results/speed/balancers.*."""
    from mtlbench import render
    from mtlbench.bench.balancers import bench_balancers as measure
    from mtlbench.bench.balancers import markdown
    from mtlbench.experiment import open_dataset
    from mtlbench.runner import pick_device

    home = Home.find()
    where = pick_device(device)
    prepared = open_dataset(home, dataset or "", render.say)
    with render.stages() as progress:
        document = measure(home, prepared, method, where, rounds, progress)
    if as_json:
        _print_json(document)
    else:
        typer.echo(markdown(document), nl=False)


@bench.command("train")
def bench_train(
    against: Annotated[
        str, typer.Option(help="Libraries to compare with, commas between, or `none`.")
    ] = "torch-rechub,deepctr-torch",
    only: Annotated[
        str, typer.Option(help="Cases alone, commas between: shared-bottom, mmoe-small, ..., table.")
    ] = "",
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.CPU,
    repeats: Annotated[int, typer.Option(help="Turns of each side.", min=1)] = 3,
    share: Annotated[
        float, typer.Option(help="Of each case's rows; less is quicker.", min=0.001, max=1)
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """How fast training is beside other libraries, on the same rows; writes results/speed/train.*."""
    from mtlbench import render
    from mtlbench.bench.train.bench import bench_train as measure
    from mtlbench.bench.train.bench import markdown
    from mtlbench.runner import pick_device

    peers = [] if against == "none" else against.split(",")
    where = pick_device(device).type
    with render.stages() as progress:
        document = measure(
            Home.find(), peers, only.split(",") if only else [], where, repeats, share, progress
        )
    if as_json:
        _print_json(document)
    else:
        typer.echo(markdown(document), nl=False)


@bench.command("cuda")
def bench_cuda(
    device: Annotated[Device, typer.Option(help="What to measure; a CPU for a try alone.")] = Device.CUDA,
    share: Annotated[
        float, typer.Option(help="Of rows and steps; less is quicker.", min=0.0001, max=1)
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """How fast a GPU trains stacks of seeds, and a whole table; writes results/speed/cuda.*."""
    from mtlbench import render
    from mtlbench.bench.cuda import bench_cuda as measure
    from mtlbench.bench.cuda import markdown
    from mtlbench.runner import pick_device

    where = pick_device(device)
    with render.stages() as progress:
        document = measure(Home.find(), where, share, progress)
    if as_json:
        _print_json(document)
    else:
        typer.echo(markdown(document), nl=False)


def _show(document: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(document)
    else:
        from mtlbench import render

        render.verdicts(document)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=1, allow_nan=False), file=_DOCUMENT.get())


def _shard(given: str | None) -> tuple[int, int] | None:
    """I/N as numbers."""
    if given is None:
        return None
    parts = given.split("/")
    numbers = [int(part) for part in parts if part.isdecimal()]
    if len(parts) != 2 or len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:
        raise UsageError(f"--shard {given}: write it as I/N with I from 1 to N, such as 1/8.")
    return numbers[0], numbers[1]


def _assignments(given: list[str] | None) -> dict[str, str]:
    """KEY=VALUE options as a dict."""
    pairs = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text}: write it as KEY=VALUE.")
        pairs[key.strip()] = value.strip()
    return pairs


class _Stopped(BaseException):
    """SIGINT or SIGTERM, raised so that worker processes and scratch folders are cleaned up on the way out.

    Not KeyboardInterrupt: typer would end the program on it without a word.
    """

    afterwards = "What had finished is kept; the same command goes on from there."


def _stopped(signum: int, frame: FrameType | None) -> None:
    raise _Stopped(signum)


def main() -> None:
    """The `mtlbench` command: what a user can mend is said in a sentence, with its own exit code."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, _stopped) for number in numbers]
    try:
        app()
    except _Stopped as stop:
        number = signal.Signals(stop.args[0])
        how = "Interrupted" if number == signal.SIGINT else "Terminated"
        _stop(f"{how}. {stop.afterwards}", 128 + number)
    except BrokenPipeError:  # the reader of our output has left: `mtlbench list methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        if isinstance(error, MtlbenchError):
            _stop(f"Error: {error}", error.exit_code)
        if where := _in_plugin(error):
            _stop(f"Error: {where}: {type(error).__name__}: {error}\n`mtlbench --debug ...` shows more.", 2)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _stop(
                f"Error: no space left on the disk of {Home.find().root}. Nothing is damaged: free some "
                "space (or set MTLBENCH_HOME to a folder on another disk) and give the same command again.",
                1,
            )
        if isinstance(error, OSError) and error.filename:
            _stop(
                f"Error: {error.filename}: {error.strerror}. Data and results lie in {Home.find().root}; set "
                "MTLBENCH_HOME to a folder that you may write to.",
                3,
            )
        _stop(
            f"Internal error: {type(error).__name__}: {error}\n"
            "This is a bug of mtlbench. `mtlbench --debug ...` shows where.",
            1,
        )
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _in_plugin(error: Exception) -> str:
    """FILE:LINE where somebody else's method or balancer failed; empty where it was us."""
    plugins = sys.modules.get("mtlbench.plugins")
    return str(plugins.place(error)) if plugins else ""


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201  (no Rich: it may be what failed)
    sys.exit(code)
