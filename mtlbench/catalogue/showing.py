"""Full descriptions of methods and balancers (from code), datasets (from cards) and benchmark files."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.catalogue.docstring import Described
from mtlbench.catalogue.families import BALANCER_FAMILIES
from mtlbench.catalogue.listing import catalogue
from mtlbench.catalogue.options import options
from mtlbench.data import DATASETS
from mtlbench.data.card import card_head, read_card
from mtlbench.errors import UsageError, unknown
from mtlbench.home import Home, shipped
from mtlbench.methods import METHODS
from mtlbench.plugins import TABLES
from mtlbench.plugins import load as load_plugins
from mtlbench.registry import Entry, written_options


def show(name: str, home: Home, dataset: str = "", flags: Sequence[str] = ()) -> dict[str, Any]:
    """Return the full description of a dataset, a method, a balancer or a benchmark file.

    Args:
        name: a name, unique over all of these; a file as listed by `list benchmarks`.
        home: home in which to look for prepared data and benchmark files.
        dataset: dataset on which to count a method's weights; by default the one prepared last.
        flags: flags to add to a suggested command.

    Raises:
        UsageError: nothing has that name, or `dataset` is given for something other than a method.
    """
    load_plugins()
    if name in METHODS:
        return method(name, METHODS[name]) | _weights(METHODS[name].load(), home, dataset)
    if dataset:
        raise UsageError(f"--dataset {dataset}: it is for the weights of a method, and {name} is none.")
    if name in BALANCERS:
        return balancer(name, BALANCERS[name])
    if name in DATASETS:
        return _dataset(name, home)
    from mtlbench.load import prepared_names

    if name in prepared_names(home):
        return {"name": name, "kind": "prepared dataset", "prepared": _prepared(name, home)}
    if name.endswith(".toml"):
        return _benchmark(name, home, flags)
    benchmarks = {Path(row["name"]).stem: row["name"] for row in catalogue("benchmarks", home)}
    if name in benchmarks:
        return _benchmark(benchmarks[name], home, flags)
    known = {*METHODS, *BALANCERS, *DATASETS, *prepared_names(home), *benchmarks}
    kinds = "mtlbench list methods, or balancers, datasets, benchmarks"
    raise unknown("method, balancer, dataset or benchmark file", name, known, kinds)


def method(name: str, entry: Entry) -> dict[str, Any]:
    """Describe a method from its code; floors are methods too."""
    from mtlbench.catalogue.needs import needs
    from mtlbench.floors.base import FloorConfig
    from mtlbench.methods.base import NetworkConfig

    cls = entry.load()
    base = NetworkConfig if issubclass(cls.Config, NetworkConfig) else FloorConfig
    return _written(name, "method", entry, cls, base) | {"needs": needs(cls)}


def balancer(name: str, entry: Entry) -> dict[str, Any]:
    """Describe a balancer from its code, with its cost."""
    from mtlbench.balancing.base import MixOptions
    from mtlbench.catalogue.needs import needs

    cls = entry.load()
    return _written(name, "balancer", entry, cls, MixOptions) | {
        "sees": cls.kind,
        "passes": BALANCER_FAMILIES[cls.kind].passes,
        "syncs": cls.syncs,
        "extra": cls.extra,
        "needs": needs(cls),
    }


def _written(name: str, kind: str, entry: Entry, cls: type[Any], base: type[Any]) -> dict[str, Any]:
    """Describe a class by its docstring and options; shared options (those of `base`) are kept separate."""
    own = written_options(cls)
    shared = {f.name for f in fields(base)} if issubclass(own, base) else set()
    described = Described.of(_docstring(cls) or name)
    return {
        "name": name,
        "kind": kind,
        "summary": entry.summary,
        "family": entry.family,
        "paper": entry.paper,
        **asdict(described),
        "options": [option for option in options(own) if option["name"] not in shared],
        "shared_options": [option for option in options(own) if option["name"] in shared],
    }


def _docstring(cls: type[Any]) -> str:
    """Return the docstring of the class's file, or of the class if the file has several registered ones."""
    registered = {e.target for table in (METHODS, BALANCERS) for e in table.values()}
    others = [target for target in registered if target.startswith(f"{cls.__module__}:")]
    own, file = cls.__doc__ or "", sys.modules[cls.__module__].__doc__ or ""
    return own or file if len(others) > 1 else file or own


def _weights(cls: type[Any], home: Home, dataset: str) -> dict[str, Any]:
    """Count the weights of a network; a floor has no fixed number."""
    from mtlbench.catalogue.sizes import size_here
    from mtlbench.methods.base import Method

    return {"weights": size_here(cls, home, dataset) if issubclass(cls, Method) else None}


def _dataset(name: str, home: Home) -> dict[str, Any]:
    """Describe a dataset: its card, its settings, and its prepared data."""
    from mtlbench.load import prepared_names

    return {
        "name": name,
        "kind": "dataset",
        "summary": card_head(name),
        "paper": DATASETS[name].paper,
        "card": read_card(name).text,
        "settings": options(DATASETS[name].load().Settings),
        "prepared": _prepared(name, home) if name in prepared_names(home) else None,
    }


def _prepared(name: str, home: Home) -> dict[str, Any]:
    from mtlbench.load import open_prepared

    manifest = open_prepared(home, name).manifest
    return {
        **{key: manifest[key] for key in ("fingerprint", "settings", "splits", "quirks", "command")},
        "periods": manifest.get("periods", {}),  # older manifests have neither
        "fields": manifest.get("fields", []),
    }


def _benchmark(name: str, home: Home, flags: Sequence[str]) -> dict[str, Any]:
    """Describe the runs of a benchmark file, here or shipped; `demo.toml` also means `benchmarks/demo.toml`.

    Baselines that it does not name are counted, unless it names unknown methods or balancers (`unknown`).
    """
    from mtlbench.config import Benchmark, fill, read_benchmark
    from mtlbench.experiment.grid import is_grid

    places = (Path(name), home.root / name, home.root / "benchmarks" / Path(name).name)
    file = next((place for place in places if place.is_file()), shipped("benchmarks", Path(name).name))
    benchmark = fill(Benchmark, read_benchmark(file), name)
    head = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# "))
    named = {(kind, getattr(arm, kind)) for arm in benchmark.run for kind in ("method", "balancer")}
    strange = sorted(name for kind, name in named if name not in TABLES[kind])
    arms = benchmark.run if strange else benchmark.with_baseline().run
    return {
        "name": name,
        "kind": "benchmark",
        "summary": " ".join(head),
        **{key: asdict(benchmark)[key] for key in ("dataset", "tasks", "training", "family")},
        "seeds": list(benchmark.seed_numbers),
        "arms": [asdict(arm) | {"added": arm not in benchmark.run} for arm in arms],
        "unknown": strange,
        "runs": len(arms) * len(benchmark.seed_numbers),
        "more_runs": bool(strange) or any(map(is_grid, arms)),
        "command": shlex.join(["mtlbench", "run", name, *flags]),
    }
