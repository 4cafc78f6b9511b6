"""The grid of a benchmark: the runs that it asks for, each with every option filled in."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.balancing.probe import probe as try_balancer
from mtlbench.compare.arms import identity, identity_key
from mtlbench.compare.sides import baselines_among, families
from mtlbench.config import EQUAL, FIRST_TUNING_SEED, Arm, Benchmark, RunSpec, fill
from mtlbench.errors import UsageError, unknown
from mtlbench.floors.base import Floor
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import InputSpec, Method
from mtlbench.methods.sharing import probe, shares
from mtlbench.plugins import Plugin
from mtlbench.registry import lookup
from mtlbench.schema import Schema
from mtlbench.train.loop import REVISION


def plan(benchmark: Benchmark, schema: Schema, fingerprint: str) -> list[list[RunSpec]]:
    """Return the runs of a benchmark, one list of seeds per arm, or per grid point of an arm that is a grid.

    Raises:
        UsageError: an unknown method, balancer, task or option.
    """
    for name in benchmark.family.tasks:
        if name not in schema.task_names:
            raise unknown("task in family.tasks:", name, schema.task_names)
    planned: list[list[RunSpec]] = []
    for arm, seeds in [point for written in benchmark.run for point in _points(written, benchmark, schema)]:
        specs = [_resolve(arm, benchmark, schema, fingerprint, seed) for seed in seeds]
        if specs in planned:
            where = f"{benchmark.name}: " if benchmark.name else ""
            raise UsageError(f"{where}{arm.method} with {arm.balancer} stands there twice.")
        planned.append(specs)
    for written in benchmark.run:
        _refuse_what_cannot_be_built(written, schema)
    return planned


def _refuse_what_cannot_be_built(arm: Arm, schema: Schema) -> None:
    """Refuse options that do not fit the dataset, and gradient balancing where nothing is shared.

    Methods and plugin balancers that break their contract are refused too; built-in balancers have tests.
    """
    method: type[Method | Floor] = lookup(METHODS, arm.method, "method").load()
    balancer_entry = lookup(BALANCERS, arm.balancer, "balancer")
    balancer: type[Balancer] = balancer_entry.load()
    if not issubclass(method, Method):
        return
    config = fill(method.Config, arm.method_options, f"options of {arm.method}")
    spec = InputSpec.of(schema)
    probe(method, config, spec, schema.tasks[:1] if method.per_task else schema.tasks)
    method.links(config, schema.tasks)
    if isinstance(balancer_entry, Plugin) and not balancer.Grid and not method.per_task:
        options = fill(balancer.Config, arm.balancer_options, f"options of {arm.balancer}")
        try_balancer(balancer, options, schema.task_names)
    if balancer.kind == "loss" or len(schema.tasks) == 1 or method.per_task:
        return
    if not shares(method, config, spec, schema.tasks):
        raise UsageError(
            f"{arm.method} with {arm.balancer}: no parameter of {arm.method} is shared between tasks, so "
            "there are no task gradients to mix. Use a balancer that weighs losses (mtlbench list balancers)."
        )


def _points(arm: Arm, benchmark: Benchmark, schema: Schema) -> list[tuple[Arm, tuple[int, ...]]]:
    """Return the arm with its seeds, or one arm for every grid point if its balancer is a grid.

    Grid points have extra tuning seeds, on which one of them is chosen.
    """
    balancer: type[Balancer] = lookup(BALANCERS, arm.balancer, "balancer").load()
    if balancer.Grid is None or not is_grid(arm):
        return [(arm, benchmark.seed_numbers)]
    grid = fill(balancer.Grid, arm.balancer_options, f"options of {arm.balancer}")
    points = balancer.points(schema.task_names, grid)
    tuning = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + grid.tuning_seeds)
    seeds = (*benchmark.seed_numbers, *tuning)
    return [(replace(arm, balancer_options=asdict(point)), seeds) for point in points]


def is_grid(arm: Arm) -> bool:
    """Return whether the arm stands for a grid of runs per seed, one of which validation chooses.

    It does not if every task has its own model, since there is nothing to balance.
    """
    method: type[Method | Floor] = lookup(METHODS, arm.method, "method").load()
    balancer: type[Balancer] = lookup(BALANCERS, arm.balancer, "balancer").load()
    return balancer.Grid is not None and not method.per_task


def family_sizes(benchmark: Benchmark, schema: Schema) -> dict[str, int]:
    """Return family -> number of comparisons that the benchmark declares, run or not.

    Empty if it has no baseline.
    """
    points = [arm for arm in benchmark.run if is_grid(arm)]
    baselines = baselines_among(
        [arm for arm in benchmark.run if arm not in points], benchmark.family.baseline
    )
    held = [arm for arm in benchmark.run if arm not in baselines]
    if not baselines:
        return {}
    tasks = len(set(benchmark.family.tasks or schema.task_names))
    return {family: len(arms) * tasks for family, arms in families(held).items()}


def rival_tests(benchmark: Benchmark, schema: Schema) -> int:
    """Count the tests against frontiers that the benchmark declares, run or not.

    Each rival, an arm with the network of a frontier, has one test per task and one of their mean.
    """
    tasks = len(set(benchmark.family.tasks or schema.task_names))
    others = [_resolve(arm, benchmark, schema, "", 0) for arm in benchmark.run if not is_grid(arm)]
    rivals = 0
    for written in filter(is_grid, benchmark.run):
        (point, _), *_ = _points(written, benchmark, schema)
        mine = _resolve(point, benchmark, schema, "", 0)
        network = mine.method, mine.method_options
        rivals += sum((other.method, other.method_options) == network for other in others)
    return rivals * (tasks + 1)


def declared_families(benchmark: Benchmark, schema: Schema) -> dict[str, str]:
    """Return arm (`compare.arms.identity_key`) -> the family that the benchmark names for it."""
    named = {}
    for written in (arm for arm in benchmark.run if arm.family):
        for arm, _ in _points(written, benchmark, schema):
            named[identity_key(identity(_resolve(arm, benchmark, schema, "", 0).to_json()))] = written.family
    return named


def _resolve(arm: Arm, benchmark: Benchmark, schema: Schema, fingerprint: str, seed: int) -> RunSpec:
    """Fill in all options, so that the run's identity holds every value that matters."""
    method_entry = lookup(METHODS, arm.method, "method")
    method: type[Method | Floor] = method_entry.load()
    config = fill(method.Config, arm.method_options, f"options of {arm.method}")
    if issubclass(method, Method):
        method.check(arm.method, schema.tasks)
    # If every task has its own model there is nothing to balance.
    name = EQUAL if method.per_task else arm.balancer
    balancer_entry = lookup(BALANCERS, name, "balancer")
    balancer: type[Balancer] = balancer_entry.load()
    options = fill(
        balancer.Config, {} if method.per_task else arm.balancer_options, f"options of {arm.balancer}"
    )
    balancer(schema.task_names, [options])  # refuses weights of unknown tasks
    codes = {"method_code": method_entry.version, "balancer_code": balancer_entry.version}
    return RunSpec(
        fingerprint=fingerprint,
        tasks=schema.task_names,
        method=arm.method,
        method_options=asdict(config),
        balancer=name,
        balancer_options=asdict(options),
        training=benchmark.training,
        seed=seed,
        revision={
            "method": method.revision,
            "balancer": balancer.revision,
            "loop": REVISION,
            **{kind: code for kind, code in codes.items() if code},
        },
    )


def to_jobs(missing: Sequence[Sequence[RunSpec]], *, stacked: bool) -> list[list[RunSpec]]:
    """Group the missing runs of each arm into jobs for the launcher.

    Stacked (on a GPU), runs that differ only in seed and balancer options form one job, such as a whole
    frontier. Otherwise each run is a job, ordered seed by seed, so an interrupted grid has runs of every arm.
    """
    if not stacked:
        longest = max(map(len, missing), default=0)
        return [[arm[i]] for i in range(longest) for arm in missing if i < len(arm)]
    alike: dict[str, list[RunSpec]] = {}
    for spec in (spec for arm in missing for spec in arm):
        alike.setdefault(spec.program, []).append(spec)
    return list(alike.values())


def shard_of(planned: Sequence[Sequence[RunSpec]], number: int, shards: int) -> list[list[RunSpec]]:
    """Return every `shards`-th run from `number` on (1 is the first), counted seed by seed over all arms.

    The choice depends only on the benchmark, not on which runs are already done.
    """
    counted = [spec for (spec,) in to_jobs(planned, stacked=False)]
    mine = {spec.hash for spec in counted[number - 1 :: shards]}
    parts = ([spec for spec in arm if spec.hash in mine] for arm in planned)
    return [part for part in parts if part]


def rows_to_train(spec: RunSpec, prepared: Prepared) -> int:
    """Return the maximum number of rows that a run trains on, over all its models."""
    models = len(spec.tasks) if lookup(METHODS, spec.method, "method").load().per_task else 1
    return models * spec.training.epochs * int(prepared.manifest["splits"]["train"]["rows"])
