"""What happened inside a run, read from its result: learning curves, weights, gates, gradients, dead units.

Several seeds of an arm are shown as their mean. The state of the networks is that of the last look
(diagnostics taken in training) up to the deployable checkpoint. The agreement of the tasks' gradients is the
mean over all looks: a single look mostly reflects which rows it drew.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import combinations
from statistics import fmean
from typing import Any

from mtlbench.config import EQUAL
from mtlbench.errors import UsageError, unknown
from mtlbench.home import Home
from mtlbench.results import Result, read_results
from mtlbench.schema import Schema

SHORTEST_PREFIX = 4
SERIES = ("validation", "train_loss", "task_weights")
PARTS = ("dense", "embedded")
OVER_LOOKS = ("probe", "gradients", "affinity")
COSTS = ("parameters", "train_rows", "train_seconds", "rows_per_second")


def inspect(home: Home, run: str, dataset: str = "") -> dict[str, Any]:
    """Return all there is to see of a run, as plain values.

    Args:
        home: where results are stored.
        run: a run's hash or the beginning of one; or METHOD, or METHOD+BALANCER: the arm of the newest run
            of that method, over all its seeds.
        dataset: if given, look only among results on this dataset.

    Raises:
        DataError: there are no results.
        UsageError: no run, or more than one, has that name.
    """
    results = find(home, run, dataset)
    first = results[0].data
    names = list(first["tasks"])
    seen = [state for state in map(_state, results) if state]
    dead = [state["dead_units"]["parts"] for state in seen if "dead_units" in state]
    for parts in dead:  # a network that is not listed has no dead units
        parts.update({part: 0.0 for other in dead for part in other if part not in parts})
    return {
        "dataset": first["dataset"],
        "simulated": first["simulated"],
        "method": results[0].method,
        "balancer": results[0].balancer,
        "method_options": first["run"]["method_options"],
        "balancer_options": first["run"]["balancer_options"],
        "seeds": [result.seed for result in results],
        "hashes": [result.path.name for result in results],
        "tasks": names,
        "metrics": {task.name: task.metric for task in Schema.from_json(first["schema"]).tasks},
        "curves": {name: _curves(results, name) for name in names},
        "between_tasks": _between_tasks(results),
        "state": mean(seen) if seen else {},
        "costs": mean([{name: result.data["costs"].get(name) for name in COSTS} for result in results]),
    }


def find(home: Home, run: str, dataset: str = "") -> list[Result]:
    """Return the result with that hash, or those of all seeds of the arm with the method's newest result."""
    results = read_results(home.results, dataset)
    method, plus, balancer = (part.strip() for part in run.partition("+"))
    arms = [r for r in results if r.method == method and (not plus or r.balancer == balancer)]
    if arms:
        plain = [r for r in arms if r.balancer == EQUAL]  # METHOD alone means without a balancer
        newest = max(plain or arms, key=lambda r: str(r.data["finished_at"]))
        return sorted((r for r in arms if _arm(r) == _arm(newest)), key=lambda r: r.seed)
    matching = [r for r in results if r.path.name.startswith(run)] if len(run) >= SHORTEST_PREFIX else []
    if len({r.path.name for r in matching}) > 1:
        hashes = ", ".join(f"{r.path.name} ({r.method}, seed {r.seed})" for r in matching[:5])
        raise UsageError(f"Run {run!r} is the beginning of {len(matching)}: {hashes}. Give more of it.")
    if not matching:
        methods = {r.method for r in results} | {f"{r.method}+{r.balancer}" for r in results if plus}
        raise UsageError(
            f"{unknown('run', run, methods)} Or give a hash, a folder in {home.results / 'runs'}; "
            "`mtlbench compare --json` lists them."
        )
    return matching[:1]


def _arm(result: Result) -> dict[str, Any]:
    """Return what ran, except for the seed."""
    return {key: value for key, value in result.data["run"].items() if key != "seed"}


def _curves(results: Sequence[Result], task: str) -> dict[str, Any]:
    """Return a task's steps, metric, loss and weight by evaluation, mean over the seeds still training."""
    by_step: dict[int, list[Mapping[str, Any]]] = {}
    for result in results:
        for model in result.data["history"]:
            for entry in model["evaluations"] if task in model["tasks"] else ():
                by_step.setdefault(int(entry["step"]), []).append(entry)
    steps = sorted(by_step)
    return {
        "steps": steps,
        **{
            name: [mean([(entry.get(name) or {}).get(task) for entry in by_step[step]]) for step in steps]
            for name in SERIES
        },
    }


def _between_tasks(results: Sequence[Result]) -> dict[str, Any]:
    """Return gradients and affinity, the mean over all looks of all seeds, each at other rows.

    `looks` is the number of looks, `rows` the number of train rows that each saw, `few` the tasks that had
    too few positives or negatives in all of them. The share of pairs of tasks that point apart is given
    twice: for the mean cosines, and for single looks, where noise brings it near one half.
    """
    looks = [
        entry["diagnostics"]
        for result in results
        for model in result.data["history"]
        for entry in model["evaluations"]
        if "gradients" in entry.get("diagnostics", {})
    ]
    if not looks:
        return {}
    gradients = {}
    for part in PARTS:
        if of_part := [look["gradients"][part] for look in looks if part in look["gradients"]]:
            gradients[part] = mean(of_part)
            cosines = gradients[part]["cosines"]
            pairs = [cosines[i][j] for i, j in combinations(range(len(cosines)), 2)]
            gradients[part]["conflict_share_of_means"] = mean([float(c < 0) for c in pairs if c is not None])
    probes = [look["probe"] for look in looks if "probe" in look]
    affinity = mean([look["affinity"] for look in looks])
    names = results[0].data["tasks"]
    return {
        "looks": len(looks),
        "rows": mean([probe["rows"] for probe in probes]),
        "positives": mean([probe["positives"] for probe in probes]),
        "few": [
            name for name, row in zip(names, affinity, strict=True) if not any(v is not None for v in row)
        ],
        "gradients": gradients,
        "affinity": affinity,
    }


def _state(result: Result) -> dict[str, Any]:
    """Return the look at the deployable checkpoint; for a model per task, their dead units side by side."""
    looks = {}
    for model in result.data["history"]:
        chosen = result.data["checkpoint"].get(model["tasks"][0], {}).get("deployable", 0)
        seen = [entry for entry in model["evaluations"] if "diagnostics" in entry]
        at = max((e for e in seen if e["step"] <= chosen), key=lambda e: int(e["step"]), default=None)
        if at is not None:
            looks[model["tasks"][0]] = at["diagnostics"]
    if len(result.data["history"]) == 1:
        look: Mapping[str, Any] = next(iter(looks.values()), {})
        return deepcopy({name: value for name, value in look.items() if name not in OVER_LOOKS})
    dead = {task: look["dead_units"] for task, look in looks.items() if "dead_units" in look}
    if not dead:
        return {}
    units = sum(one["units"] for one in dead.values())
    return {
        "dead_units": {
            "share": sum(one["share"] * one["units"] for one in dead.values()) / units,
            "units": units,
            "parts": {f"{t}: {part}": s for t, one in dead.items() for part, s in one["parts"].items()},
        }
    }


def mean(values: Iterable[Any]) -> Any:
    """Return the mean of numbers, lists or dictionaries of the same form; None if nothing is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if isinstance(known[0], Mapping):
        keys = dict.fromkeys(key for one in known for key in one)
        return {key: mean([one.get(key) for one in known]) for key in keys}
    if isinstance(known[0], list):
        return [mean(column) for column in zip(*known, strict=True)]
    return fmean(known)
