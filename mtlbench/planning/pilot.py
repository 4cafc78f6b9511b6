"""Which runs of a benchmark are its pilot, and how large its family will be.

The pilot is five seeds of the baseline and of the cheapest method that is compared with it: ordinary runs,
which `run` does not repeat.
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
"""Number of seeds of the pilot."""


def choose(benchmark: Benchmark, prepared: Prepared) -> list[list[RunSpec]]:
    """Choose five seeds of the baseline and of the cheapest other method; none without two methods to train.

    The baseline is used if it is a network of the benchmark, since every comparison will be with it: two
    other methods may differ by more or less noise. Otherwise the cheapest two are used. Seeds are the
    benchmark's first five, or 0 to 4 if it has fewer. Cost is counted in dense weights, not measured, so that
    every machine chooses the same. A method of exactly the size of the first may be the same by another name,
    as `disjoint` is `single-task`, and is taken only if there is no other.
    """
    seeds = benchmark.seed_numbers[:SEEDS]
    seeds = seeds if len(seeds) == SEEDS else tuple(range(SEEDS))
    single = tuple(arm for arm in benchmark.run if not is_grid(arm))  # one point cannot represent its grid
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
    """Return whether a run trains a network, whose steps can be counted and timed; floors are no pilots."""
    return issubclass(lookup(METHODS, spec.method, "method").load(), Method)


def _size(spec: RunSpec, prepared: Prepared) -> tuple[int, int]:
    """Return dense weights (about the multiply-adds per row) and embedding tables, over a run's models."""
    method = lookup(METHODS, spec.method, "method").load()
    blueprint = Blueprint.of(method, fill(method.Config, spec.method_options, "method options"), prepared)
    weights = tables = 0
    for replica in blueprint.replicas(spec.seed):
        weights += sum(p.numel() for p in blueprint.build(replica).parameters())
        tables += method.tables(blueprint.tasks(replica))
    return weights, tables


def members(benchmark: Benchmark, schema: Schema) -> int:
    """Return the comparisons in the largest family of the benchmark; 0 without a baseline to compare with.

    Controls count only if there is nothing else, as in `compare`.
    """
    sizes = family_sizes(benchmark, schema)
    return max((size for family, size in sizes.items() if family != OF_CONTROLS), default=0)
