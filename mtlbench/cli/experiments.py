"""Commands for experiments: run, plan, compare, publish, and the test of the protocol itself."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mtlbench.cli.app import Stopped, app
from mtlbench.cli.options import (
    Baseline,
    Device,
    Json,
    Launcher,
    Plugins,
    Precision,
    answer,
    assignments,
    complete_balancer,
    complete_method,
    flags,
)
from mtlbench.errors import UsageError
from mtlbench.home import Home


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
        typer.Option("--method", help="A method to train; repeatable.", autocompletion=complete_method),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="A task to learn; repeatable.  [default: the dataset's]"),
    ] = None,
    balancer: Annotated[
        str | None,
        typer.Option(help="How task losses are weighed.  [default: equal]", autocompletion=complete_balancer),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds 0 to N-1.  [default: 5]", min=1)] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    epochs: Annotated[
        int | None, typer.Option(help="The most epochs; early stopping may end sooner.  [default: 4]", min=1)
    ] = None,
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
            help="An option of the methods (method.KEY) or the balancer (balancer.KEY), or another setting "
            "of training (training.patience, ...); repeatable.",
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
    from mtlbench.config import EQUAL, Benchmark, fill, read_benchmark
    from mtlbench.experiment.options import of_training, with_options
    from mtlbench.experiment.run import Execution
    from mtlbench.experiment.run import run as run_experiment

    if benchmark is None and not methods:
        raise UsageError(
            "Nothing to run. Name a method: mtlbench run --method mmoe, "
            "or a benchmark file: mtlbench run benchmarks/demo.toml"
        )
    if benchmark is not None and (methods or balancer):
        raise UsageError(f"Give {benchmark}, or --method and --balancer, not both: the file names them.")
    values = read_benchmark(benchmark) if benchmark else {}
    if methods:
        values["run"] = [{"method": method, "balancer": balancer or EQUAL} for method in methods]
    flags = {
        "epochs": epochs,
        "batch_rows": batch_rows,
        "learning_rate": learning_rate,
        "precision": precision and precision.value,
    }
    training, options = of_training(assignments(settings))
    values["training"] = {
        **values.get("training", {}),
        **training,
        **{key: value for key, value in flags.items() if value is not None},
    }
    given = {"dataset": dataset, "seeds": seeds, "tasks": tasks}
    values.update({key: value for key, value in given.items() if value is not None})
    chosen = with_options(fill(Benchmark, values, str(benchmark or "mtlbench run")), options)
    if not no_baseline:  # added after the arms have their options, and given the same options
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
    answer(document, as_json, render.shard if shard else render.verdicts)
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

    Trains a pilot, five seeds of the baseline and of the cheapest other method, which `run` will not do
    again. Only its variances are used: its gains are neither shown nor kept in the plan.
    """
    from mtlbench import render
    from mtlbench.config import Benchmark, fill, read_benchmark
    from mtlbench.experiment.run import Execution
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
    answer(document, as_json, render.plan)


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
    from mtlbench.experiment.stored import compare_stored

    changes = {"baseline": baseline, "alpha": alpha, "delta": delta, "metric": metric}
    given = {key: value for key, value in changes.items() if value is not None}
    chosen = load_benchmark(benchmark).with_family(**given).with_baseline() if benchmark else None
    if chosen and given:
        chosen = replace(chosen, name=f"{chosen.name} and changed by options")
    family = chosen.family if chosen else fill(Family, given, "mtlbench compare")
    written = flags(plugins, dataset=dataset, baseline=baseline)
    command = shlex.join(["mtlbench", "run", *([str(benchmark)] if benchmark else []), *written])
    document = compare_stored(Home.find(), chosen, dataset or "", render.say, family, by, command)
    answer(document, as_json, render.verdicts)


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
    """Test the verdicts against ground truth; write bounds and measurements to results/protocol/."""
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
    except Stopped as stop:
        stop.afterwards = "Nothing was written; the same command starts anew (--only takes single checks)."
        raise
    answer(document, as_json, render.rules if rules else render.findings)
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
    """Write the verdicts of BENCHMARK to results/, traceable and small enough to commit."""
    from mtlbench import render
    from mtlbench.config import load_benchmark
    from mtlbench.publish import publish as write

    home = Home.find()
    written = flags(plugins, dataset=dataset, baseline=baseline)
    command = shlex.join(["mtlbench", "run", str(benchmark), *written])
    folder = write(home, load_benchmark(benchmark), dataset or "", command, render.say, baseline or "")
    render.say(f"Wrote {home.relative(folder)}/README.md, comparisons.json and runs.json.")


def _shard(given: str | None) -> tuple[int, int] | None:
    """Parse I/N into numbers."""
    if given is None:
        return None
    parts = given.split("/")
    numbers = [int(part) for part in parts if part.isdecimal()]
    if len(parts) != 2 or len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:
        raise UsageError(f"--shard {given}: write it as I/N with I from 1 to N, such as 1/8.")
    return numbers[0], numbers[1]
