"""Arms: the results of one method and balancer with their options, one per seed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtlbench.config import arm_name
from mtlbench.errors import DataError, UsageError
from mtlbench.methods import METHODS
from mtlbench.results import Result


@dataclass(frozen=True, slots=True)
class Arm:
    """One row of a comparison.

    Attributes:
        identity: method, method_options, balancer, balancer_options.
        results: seed -> result.
        name: display name; tells the arm from the others it is listed with.
        trials: number of settings tried on validation, of which this is the best; 1 if nothing was tuned.
        family: the family that a file declares the arm to be judged in; empty if none does.
    """

    identity: Mapping[str, Any]
    results: Mapping[int, Result]
    name: str = ""
    trials: int = 1
    family: str = ""

    @property
    def method(self) -> str:
        """The method's registered name."""
        return str(self.identity["method"])

    @property
    def balancer(self) -> str:
        """The balancer's registered name."""
        return str(self.identity["balancer"])

    @property
    def short_name(self) -> str:
        """The method's name, followed by the balancer's unless that is `equal`."""
        return arm_name(self.method, self.balancer)

    def mean_cost(self, cost: str) -> float:
        """Return the mean over the seeds of a recorded cost; NaN if any seed lacks it."""
        costs = [r.data.get("costs", {}).get(cost) for r in self.results.values()]
        return math.nan if None in costs or not costs else math.fsum(costs) / len(costs)


def identity(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arm's part of a run's identity: all but data, training settings and seed."""
    return {
        "method": str(run["method"]),
        "method_options": dict(run.get("method_options", {})),
        "balancer": str(run["balancer"]),
        "balancer_options": dict(run.get("balancer_options", {})),
    }


def identity_key(what: Mapping[str, Any]) -> str:
    """Return an arm's identity as one string, a key that tells arms apart."""
    return json.dumps(what, sort_keys=True)


def group(results: Sequence[Result], families: Mapping[str, str] | None = None) -> list[Arm]:
    """Group results into arms, in the order of each arm's first result.

    `families` maps an arm's `identity_key` to the family that is declared for it.

    Raises:
        DataError: the results come from different preparations of the data.
        UsageError: two results have the same arm and seed, hence different settings.
    """
    grouped: dict[str, tuple[dict[str, Any], dict[int, Result]]] = {}
    for result in results:
        if result.data.get("fingerprint") != results[0].data.get("fingerprint"):
            raise DataError(
                f"{result.path} and {results[0].path} come from different preparations of the data. "
                "Remove the folder of the one that is out of date, or run again: mtlbench run"
            )
        mine = identity(result.data["run"])
        _, by_seed = grouped.setdefault(identity_key(mine), (mine, {}))
        if result.seed in by_seed:
            raise UsageError(
                f"{result.method} with {result.balancer} has two results of seed {result.seed}, "
                f"{by_seed[result.seed].path} and {result.path}. Compare runs of one set of training "
                "settings, e.g. those of a benchmark file: mtlbench compare BENCHMARK.toml"
            )
        by_seed[result.seed] = result
    return named(
        [Arm(what, by_seed, family=(families or {}).get(key, "")) for key, (what, by_seed) in grouped.items()]
    )


def baseline_of(arm: Arm, baselines: Sequence[Arm]) -> Arm | None:
    """Return the baseline to compare an arm with, or None if there is not exactly one.

    A baseline whose options name an arm to `match` serves that arm alone. Any other serves every arm if it is
    the only one, else the arms that share its options. Floors share none: the first baseline serves them.
    """
    made = [b for b in baselines if "match" in b.identity["method_options"]]
    if made:
        mine = [b for b in made if _matches(b.identity["method_options"], arm.identity)]
        return mine[0] if len(mine) == 1 else None
    if len(baselines) == 1:
        return baselines[0]
    alike = [b for b in baselines if not differing(arm, b)]
    if len(alike) > 1 and arm.method in METHODS and METHODS[arm.method].family == "floor":
        return alike[0]
    return alike[0] if len(alike) == 1 else None


def differing(arm: Arm, baseline: Arm) -> dict[str, tuple[Any, Any]]:
    """Return method options, such as widths, that both have with different values: name -> both values."""
    mine, theirs = arm.identity["method_options"], baseline.identity["method_options"]
    return {key: (mine[key], theirs[key]) for key in mine if key in theirs and mine[key] != theirs[key]}


def _matches(control: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Return whether a control is made for an arm; both have every option filled in, so equality decides."""
    named = (control["match"], control["match_options"])
    return named == (identity["method"], identity["method_options"])


def named(arms: Sequence[Arm]) -> list[Arm]:
    """Name each arm by its method, its balancer unless `equal`, and the options that tell it apart."""
    result = []
    for arm in arms:
        namesakes = [_options(a) for a in arms if a.short_name == arm.short_name]
        telling = {k: v for k, v in _options(arm).items() if any(o.get(k) != v for o in namesakes)}
        suffix = ", ".join(f"{k}={json.dumps(v)}" for k, v in telling.items())
        result.append(replace(arm, name=f"{arm.short_name} ({suffix})" if suffix else arm.short_name))
    return result


def _options(arm: Arm) -> dict[str, Any]:
    """Return every option by its dotted name, nested ones included."""
    balancer = {f"balancer.{k}": v for k, v in arm.identity["balancer_options"].items()}
    flat: dict[str, Any] = {}
    for key, value in {**arm.identity["method_options"], **balancer}.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        flat |= {f"{key}.{name}" if name else key: option for name, option in inner}
    return flat
