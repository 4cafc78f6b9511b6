"""Which runs of a benchmark are its pilot, and how large its family will be.

The pilot is five seeds of the baseline and of the cheapest method that is held against it: ordinary runs, so
that `run` does not do them again.
"""

from dataclasses import replace

from mtlbench.compare.sides import OF_CONTROLS
from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.experiment.grid import family_sizes, is_grid, plan
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method
from mtlbench.registry import lookup
from mtlbench.schema import Schema
from mtlbench.train.blueprint import Blueprint

SEEDS = 5
"""Of the pilot."""


def choose(benchmark: Benchmark, prepared: Prepared) -> list[list[RunSpec]]:
    """Five seeds of the baseline and of the cheapest other method; empty where there are not two to train.

    The baseline, where it is a network of the benchmark, since every comparison to come is with it: two other
    methods may differ by more noise or by less. Else the cheapest two. Seeds are the benchmark's first five,
    or 0 to 4 where it has fewer. Cost is counted in dense weights, not measured, so that every machine
    chooses the same. A method of exactly the size of the first may be that one in other words, as `disjoint`
    is `single-task`, and is taken only where there is no other.
    """
    seeds = benchmark.seed_numbers[:SEEDS]
    seeds = seeds if len(seeds) == SEEDS else tuple(range(SEEDS))
    single = tuple(arm for arm in benchmark.run if not is_grid(arm))  # one point of a grid stands for nothing
    if not single:
        return []
    arms: dict[str, list[RunSpec]] = {}
    for specs in plan(replace(benchmark, seeds=seeds, run=single), prepared.schema, prepared.fingerprint):
        if trains(specs[0]):
            arms.setdefault(specs[0].method, specs)
    sizes = {method: _size(specs[0], prepared) for method, specs in arms.items()}
    order = sorted(arms, key=lambda method: (method != benchmark.family.baseline, sizes[method]))
    others = [method for method in order[1:] if sizes[method] != sizes[order[0]]] or order[1:]
    return [arms[order[0]], arms[others[0]]] if others else []


def trains(spec: RunSpec) -> bool:
    """Whether the run is a network's, whose steps can be counted and timed; floors are no pilots."""
    return issubclass(lookup(METHODS, spec.method, "method").load(), Method)


def _size(spec: RunSpec, prepared: Prepared) -> tuple[int, int]:
    """Dense weights (about the multiply-adds a row) and embedding tables, over all models of a run."""
    method = lookup(METHODS, spec.method, "method").load()
    blueprint = Blueprint.of(method, fill(method.Config, spec.method_options, "method options"), prepared)
    weights = tables = 0
    for replica in blueprint.replicas(spec.seed):
        weights += sum(p.numel() for p in blueprint.build(replica).parameters())
        tables += method.tables(blueprint.tasks(replica))
    return weights, tables


def members(benchmark: Benchmark, schema: Schema) -> int:
    """Comparisons in the largest family of the benchmark; 0 where it has no baseline to compare with.

    Controls count only where there is nothing else, as in `compare`.
    """
    sizes = family_sizes(benchmark, schema)
    return max((size for family, size in sizes.items() if family != OF_CONTROLS), default=0)
