"""Options that the command line sets: those of training, and those of every arm of a benchmark."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.config import Benchmark, parse_value
from mtlbench.errors import UsageError, unknown
from mtlbench.methods import METHODS
from mtlbench.registry import lookup, written_options

TRAINING = "training."


def of_training(given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Part `training.KEY` from the other options; return its values by KEY, and the others."""
    training = {
        path.removeprefix(TRAINING): parse_value(text)
        for path, text in given.items()
        if path.startswith(TRAINING)
    }
    return training, {path: text for path, text in given.items() if not path.startswith(TRAINING)}


def with_options(benchmark: Benchmark, given: Mapping[str, str]) -> Benchmark:
    """Return the benchmark with `method.KEY` and `balancer.KEY` set on every arm that has such an option.

    Raises:
        UsageError: no arm has the option.
    """
    arms = list(benchmark.run)
    for path, text in given.items():
        kind, _, rest = path.partition(".")
        key, _, inner = rest.partition(".")
        if kind not in ("method", "balancer") or not key:
            raise UsageError(
                f"--set {path}={text}: begin with method., balancer. or training., e.g. method.dropout=0.1"
            )
        table = METHODS if kind == "method" else BALANCERS
        known: set[str] = set()
        used = False
        for i, arm in enumerate(arms):
            written = written_options(lookup(table, getattr(arm, kind), kind).load())
            options = {f.name for f in fields(written)}
            known |= options
            if key in options:
                used = True
                old = dict(getattr(arm, f"{kind}_options"))
                value = {**old.get(key, {}), inner: parse_value(text)} if inner else parse_value(text)
                new: dict[str, Any] = {f"{kind}_options": {**old, key: value}}
                arms[i] = replace(arm, **new)
        if not used:
            raise unknown(f"{kind} option", key, known)
    return replace(benchmark, run=tuple(arms))
