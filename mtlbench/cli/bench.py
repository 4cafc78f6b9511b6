"""Commands that measure speed; each writes a page under results/speed/."""

from typing import Annotated

import typer

from mtlbench.cli.app import bench
from mtlbench.cli.options import Device, Json, complete_method, page
from mtlbench.errors import UsageError
from mtlbench.home import Home


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
    page(document, as_json, markdown)


@bench.command("balancers")
def bench_balancers(
    dataset: Annotated[
        str | None, typer.Option(help="A prepared dataset; the most recent one if not given.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="The network that they train.", autocompletion=complete_method)
    ] = "hard-sharing",
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    rounds: Annotated[int, typer.Option(help="Turns of each balancer.", min=1)] = 21,
    as_json: Json = False,
) -> None:
    """Time of a training step with each balancer, against equal weights; writes results/speed/balancers.*."""
    from mtlbench import render
    from mtlbench.bench.balancers import bench_balancers as measure
    from mtlbench.bench.balancers import markdown
    from mtlbench.devices import pick_device
    from mtlbench.load import open_dataset

    home = Home.find()
    where = pick_device(device)
    prepared = open_dataset(home, dataset or "", render.say)
    with render.stages() as progress:
        document = measure(home, prepared, method, where, rounds, progress)
    page(document, as_json, markdown)


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
    from mtlbench.bench.train.page import markdown
    from mtlbench.devices import pick_device

    peers = [] if against == "none" else against.split(",")
    where = pick_device(device).type
    with render.stages() as progress:
        document = measure(
            Home.find(), peers, only.split(",") if only else [], where, repeats, share, progress
        )
    page(document, as_json, markdown)


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
    from mtlbench.devices import pick_device

    where = pick_device(device)
    with render.stages() as progress:
        document = measure(Home.find(), where, share, progress)
    page(document, as_json, markdown)
