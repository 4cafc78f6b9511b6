"""Grids: the runs that a benchmark asks for, each with every option filled in."""

from dataclasses import asdict

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.config import Arm, Benchmark, RunSpec, fill
from mtlbench.errors import UsageError, unknown
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method
from mtlbench.registry import lookup
from mtlbench.schema import Schema
from mtlbench.train.loop import REVISION


def plan(benchmark: Benchmark, schema: Schema, fingerprint: str) -> list[list[RunSpec]]:
    """The runs of a benchmark, one list of seeds an arm.

    Raises:
        UsageError: an unknown method, balancer, task or option.
    """
    for name in benchmark.family.tasks:
        if name not in schema.task_names:
            raise unknown("task in family.tasks:", name, schema.task_names)
    planned: list[list[RunSpec]] = []
    for arm in benchmark.run:
        specs = [_resolve(arm, benchmark, schema, fingerprint, seed) for seed in benchmark.seed_numbers]
        if specs in planned:
            where = f"{benchmark.name}: " if benchmark.name else ""
            raise UsageError(f"{where}{arm.method} with {arm.balancer} stands there twice.")
        planned.append(specs)
    return planned


def _resolve(arm: Arm, benchmark: Benchmark, schema: Schema, fingerprint: str, seed: int) -> RunSpec:
    """Fill in all options, so that the identity names every number that matters."""
    method: type[Method] = lookup(METHODS, arm.method, "method").load()
    config = fill(method.Config, arm.method_options, f"options of {arm.method}")
    # Where every task has a model of its own there is nothing to balance.
    name = "equal" if method.per_task else arm.balancer
    balancer: type[Balancer] = lookup(BALANCERS, name, "balancer").load()
    options = fill(
        balancer.Config, {} if method.per_task else arm.balancer_options, f"options of {arm.balancer}"
    )
    balancer(schema.task_names, [options])  # refuses weights of tasks that are not there
    return RunSpec(
        fingerprint=fingerprint,
        tasks=schema.task_names,
        method=arm.method,
        method_options=asdict(config),
        balancer=name,
        balancer_options=asdict(options),
        training=benchmark.training,
        seed=seed,
        revision={"method": method.revision, "balancer": balancer.revision, "loop": REVISION},
    )


def rows_to_train(spec: RunSpec, prepared: Prepared) -> int:
    """Rows that a run goes through at the most, over all its models."""
    models = len(spec.tasks) if lookup(METHODS, spec.method, "method").load().per_task else 1
    return models * spec.training.epochs * int(prepared.manifest["splits"]["train"]["rows"])
