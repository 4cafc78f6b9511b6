"""Speed of a CUDA device on stacks of seeds: rows per second, share of the rate of products, a table."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from mtlbench.balancing.equal import Equal
from mtlbench.bench.train.bench import table_toml
from mtlbench.bench.train.cases import BATCH, CASES, TABLE, Case
from mtlbench.bench.train.log import CATEGORICAL, IDS, NUMERIC, generate
from mtlbench.bench.train.ours import blueprint, multiplied, settings
from mtlbench.config import Precision
from mtlbench.devices import device_name
from mtlbench.errors import MtlbenchError
from mtlbench.files import write_json, write_text
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.provenance import commit, now, versions
from mtlbench.train.loop import train
from mtlbench.train.matrices import Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.precision import check, products
from mtlbench.train.stack import Stack
from mtlbench.train.step import WARM_UP, WORTH_COMPILING, Stepper

SEEDS = 10
STEPS = 100
"""Number of timed steps of each stack."""
PRODUCTS = 20
"""Number of matrix products that are measured at once."""
ROWS = 100 * BATCH
TABLE_ROWS, TABLE_MINUTES = 10_000_000, 5.0
WANTED_SHARE, WANTED_COST = 0.4, 3.0
"""Targets: the big MMoE's share of its precision's rate of products; the cost of ten seeds of the small MMoE,
in single seeds."""
Said = dict[str, Any]


def bench_cuda(
    home: Home, device: torch.device, share: float, progress: Callable[[str, int, int], None]
) -> Said:
    """Measure a device, write `results/speed/cuda.json` and `.md`, return the JSON document.

    Args:
        home: home to which results are written.
        device: device to measure.
        share: share of rows and steps, below 1 for a quick look.
        progress: receives the number of finished and of all measurements.
    """
    kinds = [kind for kind in get_args(Precision) if kind != "tf32" or device.type == "cuda"]
    stacks = [
        (name, seeds, kind) for name in ("mmoe-big", "mmoe-small") for seeds in (1, SEEDS) for kind in kinds
    ]
    total = len(stacks) + len(kinds) + 1
    home.datasets.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=home.datasets) as scratch_folder:
        scratch = Home(Path(scratch_folder))
        prepared = generate(scratch, max(2 * BATCH, int(ROWS * share)), seed=0)
        measured = []
        for i, (name, seeds, kind) in enumerate(stacks):
            progress("measurements", i, total)
            measured.append(_steps(CASES[name], prepared, device, seeds, kind, max(2, int(STEPS * share))))
        quality = {}
        for i, kind in enumerate(kinds, start=len(stacks)):
            progress("measurements", i, total)
            quality[kind] = _quality(CASES["mmoe-small"], prepared, device, kind)
        progress("measurements", total - 1, total)
        table = _table(scratch, device, max(2 * BATCH, int(TABLE_ROWS * share)))
    document = {
        "command": f"mtlbench bench cuda --device {device.type} --share {share:g}",
        "device": device_name(device),
        "versions": versions("torch"),
        "measured_at": now(),
        "commit": commit(),
        "share": share,
        "stacks": measured,
        "quality": quality,
        "table": table,
    }
    write_json(home.results / "speed" / "cuda.json", document)
    write_text(home.results / "speed" / "cuda.md", markdown(document))
    return document


def _steps(
    case: Case, prepared: Prepared, device: torch.device, seeds: int, kind: Precision, steps: int
) -> Said:
    """Time a training step of a stack, once it is compiled and captured."""
    check(kind, device)
    torch.compiler.reset()
    plan = blueprint(case, prepared)
    stack = Stack(plan, [plan.replicas(seed)[0] for seed in range(seeds)], device, kind)
    optimiser = StackedAdam(stack, settings(kind))
    data = Matrices.of(prepared.open_split("train"), stack.layout, device)
    balancer = Equal(prepared.schema.task_names, [Equal.Config()] * seeds)
    order = torch.stack([torch.randperm(len(data)) for _ in range(seeds)]).to(device)
    take = Stepper(stack, balancer, optimiser, data, WORTH_COMPILING)
    places = range(0, len(data) - BATCH + 1, BATCH)

    def some(number: int) -> None:
        for step in range(number):
            at = places[step % len(places)]
            take(order[:, at : at + BATCH], step + 1)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with products(kind):
        some(WARM_UP + 2)
        some(steps)  # until the device runs at its full clock
        began = time.perf_counter()
        some(steps)
        seconds = (time.perf_counter() - began) / steps
        rate = _products(device, kind, seeds)
    operations = 6 * multiplied(plan)  # per row, once forward and twice backward
    return {
        "case": case.name,
        "seeds": seeds,
        "precision": kind,
        "seconds_a_step": seconds,
        "rows_per_second": seeds * BATCH / seconds,  # summed over the seeds
        "products_per_second": rate,
        "share_of_products": operations * seeds * BATCH / seconds / rate,
    }


def _products(device: torch.device, kind: Precision, seeds: int) -> float:
    """Measure the floating-point operations per second of matrix products as large as a layer's.

    Many are captured at once, as a step is, so that small products are not measured by their launch time.
    """
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    left, right = (torch.randn(seeds, *s, device=device, dtype=dtype) for s in ((BATCH, 512), (512, 512)))
    made = torch.empty(seeds, BATCH, 512, device=device, dtype=dtype)

    def multiply() -> None:
        for _ in range(PRODUCTS):
            torch.bmm(left, right, out=made)

    multiply()
    again = multiply
    if device.type == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            multiply()
        again = graph.replay
    times = []
    for _ in range(5):
        began = time.perf_counter()
        again()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return PRODUCTS * 2 * seeds * BATCH * 512 * 512 / min(times)


def _quality(case: Case, prepared: Prepared, device: torch.device, kind: Precision) -> list[dict[str, float]]:
    """Return the validation AUC of each seed after one epoch."""
    plan = blueprint(case, prepared)
    replicas = [plan.replicas(seed)[0] for seed in range(SEEDS)]
    balancer = Equal(prepared.schema.task_names, [Equal.Config()] * SEEDS)
    with products(kind):
        outcomes = train(plan, balancer, settings(kind), replicas, prepared, device, lambda rows: None)
    return [dict(outcome.history[-1]["validation"]) for outcome in outcomes]


def _table(scratch: Home, device: torch.device, rows: int) -> Said:
    """Time a headline table: four methods, ten seeds, verdicts, start-up included."""
    generate(scratch, rows, seed=1)
    benchmark = scratch.root / "table.toml"
    benchmark.write_text(table_toml(replace(TABLE, rows=rows), SEEDS), encoding="utf-8")
    arguments = ["run", str(benchmark), "--no-track", "--json", "--device", device.type]
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the table is trained by another process, on the same device
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "mtlbench", *arguments],
        env={**os.environ, "MTLBENCH_HOME": str(scratch.root)},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise MtlbenchError(f"the table failed: {done.stderr.strip()[-1500:]}")
    return {"rows": rows, "seeds": SEEDS, "seconds": seconds, "runs": len(json.loads(done.stdout)["runs"])}


def markdown(document: Mapping[str, Any]) -> str:
    """Render the figures as a page."""
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    table, stacks = document["table"], document["stacks"]
    lines = [
        "# How fast stacks of seeds train",
        "",
        f"`{document['command']}`: training steps of all seeds at once on generated data ({CATEGORICAL} "
        f"categorical fields with {IDS:,} ids, {NUMERIC} numeric; simulated), {BATCH} rows a step and seed. "
        "Rows are summed over the seeds; *products* is the share of our time that the matrix products would "
        "take at the rate measured beside it in the same precision.",
        "",
        f"Device: {document['device']}; {versions}; commit {document['commit'] or 'unknown'}; "
        f"{document['measured_at']}.",
        "",
        "| case | precision | seeds | ms a step | rows/s | TFLOP/s of products | products |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one['case']} | {one['precision']} | {one['seeds']} | {1e3 * one['seconds_a_step']:.2f} | "
        f"{one['rows_per_second']:,.0f} | {one['products_per_second'] / 1e12:.2f} | "
        f"{one['share_of_products']:.0%} |"
        for one in stacks
    ]
    lines += ["", *_findings(stacks), ""]
    lines += [
        f"A table of single-task, hard and soft sharing and MMoE, {table['seeds']} seeds, {table['rows']:,} "
        f"train rows, from start to verdicts: {table['seconds'] / 60:.1f} minutes (wanted: "
        f"{TABLE_MINUTES:g} at {TABLE_ROWS:,} rows).",
        "",
        "Validation AUC of the small MMoE after an epoch, mean over the seeds: "
        + "; ".join(f"{kind} {_mean(seeds)}" for kind, seeds in document["quality"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _findings(stacks: Sequence[Said]) -> list[str]:
    """Compare the targets with the measurements."""
    found = {(one["case"], one["seeds"], one["precision"]): one for one in stacks}
    best = max(found["mmoe-big", SEEDS, kind]["share_of_products"] for kind in {k for *_, k in found})
    costs = {
        kind: found["mmoe-small", SEEDS, kind]["seconds_a_step"]
        / found["mmoe-small", 1, kind]["seconds_a_step"]
        for kind in dict.fromkeys(k for *_, k in found)
    }
    return [
        f"- The big MMoE reaches {best:.0%} of its products' rate (wanted: {WANTED_SHARE:.0%}).",
        f"- {SEEDS} seeds of the small MMoE cost what "
        + ", ".join(f"{cost:.1f} ({kind})" for kind, cost in costs.items())
        + f" single ones do (wanted: {WANTED_COST:g}).",
    ]


def _mean(seeds: Sequence[Mapping[str, float]]) -> str:
    tasks = seeds[0]
    return ", ".join(f"{task} {sum(one[task] for one in seeds) / len(seeds):.4f}" for task in tasks)
