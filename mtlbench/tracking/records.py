"""Results and verdicts as records: the name and content of each run in MLflow."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from statistics import fmean
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.config import TrainingSettings, arm_name
from mtlbench.methods import METHODS
from mtlbench.registry import Entry
from mtlbench.results import Result
from mtlbench.schema import Schema

NOTE = "mlflow.note.content"
"""Name of the tag that the UI shows as the description, in Markdown."""
NOTE_LENGTH = 5000
COLOUR = "mlflow.runColor"
MOST_TASKS = 6
"""Number of tasks above which metrics of task pairs are not tracked: their curves would bury all others."""
COST = "training_cost"  # sorts after `gain` and `test`, so charts do not begin with it


COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Colours of the arms in charts, in order; MLflow would choose at random. Source: Okabe and Ito, 2008."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run as the store should hold it.

    Attributes:
        key: identifies the run among those of its benchmark and fingerprint.
        name: the name that people see.
        start: Unix time in milliseconds.
        end: Unix time in milliseconds.
        tags: updated when they change.
        params: options and settings, which never change.
        metrics: name -> value; updated when they change.
        curves: (name, step, value), written once.
    """

    key: str
    name: str
    start: int
    end: int
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[tuple[str, int, float]] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """A method with a balancer, all options and settings: results by seed and verdicts by task."""

    key: str
    name: str
    colour: str
    results: Sequence[Result]
    comparisons: Mapping[str, Mapping[str, Any]]
    summary: Mapping[str, Any]

    @property
    def run(self) -> Mapping[str, Any]:
        """Identity of the first seed's run; all runs of the arm have the same, except for the seed."""
        run: Mapping[str, Any] = self.results[0].data["run"]
        return run


def arms_of(results: Sequence[Result], document: Mapping[str, Any]) -> list[Arm]:
    """Return the arms in the order of their first result, each with what the document says about it."""
    by_key: dict[str, list[Result]] = {}
    for result in results:
        identity = {key: value for key, value in result.data["run"].items() if key != "seed"}
        key = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
        by_key.setdefault(key, []).append(result)
    arms: list[Arm] = []
    for key, group in by_key.items():
        run = group[0].data["run"]
        comparisons: dict[str, Mapping[str, Any]] = {}
        for row in _about(run, document["comparisons"]):
            comparisons.setdefault(str(row["task"]), row)
        summary = next(iter(_about(run, document["summaries"])), {})
        colour = COLOURS[len(arms) % len(COLOURS)]
        arms.append(Arm(key, _name(run), colour, sorted(group, key=lambda r: r.seed), comparisons, summary))
    return arms


def _about(run: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows about that method and balancer, and about those options if the rows name any."""
    identity = ("method", "balancer", "method_options", "balancer_options")
    return [row for row in rows if all(row.get(key, run[key]) == run[key] for key in identity)]


def _name(run: Mapping[str, Any]) -> str:
    """Return the arm's name, followed by every option that is not at its default."""
    changed = {
        **_changed(run["method_options"], _defaults(METHODS, run["method"])),
        **_changed(run["balancer_options"], _defaults(BALANCERS, run["balancer"])),
        **_changed(run["training"], asdict(TrainingSettings())),
    }
    name = arm_name(run["method"], run["balancer"])
    return f"{name} ({', '.join(f'{k}={v}' for k, v in changed.items())})" if changed else name


def _changed(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    usual = _flat(defaults)
    return {key: value for key, value in _flat(options).items() if usual.get(key) != value}


def _defaults(registry: Mapping[str, Entry], name: str) -> Mapping[str, Any]:
    """Return the default options of a method or balancer; empty if its name is no longer known."""
    return asdict(registry[name].load().Config()) if name in registry else {}


def benchmark_record(
    benchmark: str, arms: Sequence[Arm], document: Mapping[str, Any], artifacts: Mapping[str, str]
) -> Record:
    """Return the top run: every gain and the count of verdicts, so that its page shows the outcome."""
    results = [result for arm in arms for result in arm.results]
    rows = [(arm, task, row) for arm in arms for task, row in arm.comparisons.items()]
    verdicts = Counter(str(row["verdict"]).lower() for _, _, row in rows)
    failed = sum(run["status"] == "failed" for run in document["runs"])
    note = f"{len(arms)} methods, {len(results)} runs on {_dataset(document)}."
    note += f" {failed} runs failed." if failed else ""
    _, bar, rest = artifacts.get("verdicts.md", "").partition("|")  # the page has a heading of its own
    table = bar + rest or _table(arms)
    return Record(
        key="benchmark",
        name=f"{benchmark} (simulated)" if document["simulated"] else benchmark,
        start=min(map(_start, results)),
        end=max(map(_end, results)),
        tags={"level": "benchmark", NOTE: _note(note, table)},
        metrics=_finite({metric("gain", f"{task} of {arm.name}"): row["gain"] for arm, task, row in rows})
        | {metric("verdicts", name): float(number) for name, number in verdicts.items()},
    )


def arm_record(arm: Arm, document: Mapping[str, Any]) -> Record:
    """Return the run of an arm: means over its seeds, gains against the baseline, verdicts, costs."""
    verdicts = {f"verdict.{task}": str(row["verdict"]) for task, row in arm.comparisons.items()}
    if arm.summary.get("verdict"):
        verdicts["verdict"] = str(arm.summary["verdict"])
    ratios = {
        metric(COST, f"{name}_ratio"): cost.get("ratio")
        for name, cost in arm.summary.get("costs", {}).items()
        if isinstance(cost, Mapping)
    }
    note = f"{arm.name} on {_dataset(document)}, mean over {len(arm.results)} seeds."
    return Record(
        key=arm.key,
        name=arm.name,
        start=min(map(_start, arm.results)),
        end=max(map(_end, arm.results)),
        tags={
            "level": "method",
            COLOUR: arm.colour,
            "method": str(arm.run["method"]),
            "balancer": str(arm.run["balancer"]),
            "seeds": " ".join(str(result.seed) for result in arm.results),
            **verdicts,
            NOTE: _note(note, _table([arm])),
        },
        params=_params(arm.run),
        metrics=_mean([_figures(result) for result in arm.results])
        | _finite({metric("gain", task): row["gain"] for task, row in arm.comparisons.items()})
        | _finite(ratios),
    )


def seed_record(arm: Arm, result: Result) -> Record:
    """Return the run of one seed: its test metrics, learning curves, settings and costs."""
    data = result.data
    simulated = " The data are simulated." if data["simulated"] else ""
    return Record(
        key=str(data["hash"]),
        name=f"{arm.name} seed {result.seed}",
        start=_start(result),
        end=_end(result),
        tags={
            "level": "seed",
            COLOUR: arm.colour,
            "method": result.method,
            "balancer": result.balancer,
            "run_hash": str(data["hash"]),
            "commit": str(data["commit"] or "unknown"),
            "device": str(data["device"]),
            **{f"version.{name}": str(version) for name, version in data["versions"].items()},
            NOTE: _note(f"{arm.name} on {data['dataset']}, seed {result.seed}.{simulated}"),
        },
        params={**_params(data["run"]), "seed": str(result.seed)},
        metrics=_figures(result),
        curves=_curves(result),
    )


def columns(arms: Sequence[Arm]) -> list[str]:
    """Return the columns of a table of arms: verdicts, then gains; test metrics if nothing was compared."""
    tasks = list(dict.fromkeys(task for arm in arms for task in arm.comparisons))
    if not tasks:
        primary = _primary(arms[0].results[0])
        return [f"metrics.`{metric('test', task, name)}`" for task, name in primary.items()]
    return [f"tags.`verdict.{task}`" for task in tasks] + [f"metrics.`{metric('gain', t)}`" for t in tasks]


def _figures(result: Result) -> dict[str, float]:
    """Return every test metric that is defined, and the costs."""
    tables = {
        metric(table, task, name): value
        for table, tasks in result.data["metrics"].items()
        for task, metrics in tasks.items()
        for name, value in metrics.items()
    }
    return _finite(tables | {metric(COST, name): value for name, value in result.data["costs"].items()})


def _curves(result: Result) -> list[tuple[str, int, float]]:
    """Return each task's train loss and primary validation metric at each evaluation, and the diagnostics."""
    primary = _primary(result)
    curves = []
    for model in result.data["history"]:
        for entry in model["evaluations"]:
            values = {metric("train_loss", task): value for task, value in entry["train_loss"].items()}
            for task, value in entry["validation"].items():
                values[metric("validation", task, primary[task])] = value
            values |= _inside(entry, model["tasks"], alone=len(result.data["history"]) == 1)
            curves += [(name, int(entry["step"]), value) for name, value in _finite(values).items()]
    return curves


def _inside(entry: Mapping[str, Any], tasks: Sequence[str], *, alone: bool) -> dict[str, float | None]:
    """Return the task weights, and the diagnostics that are one number, or one per task or pair of tasks.

    If a run has one model per task, metrics without a task in their name get the model's.
    """
    look = entry.get("diagnostics", {})
    of = () if alone else (tasks[0],)
    weights = (entry.get("task_weights") or {}) if alone else {}
    values = {metric("task_weight", task): weight for task, weight in weights.items()}
    for task, value in look.get("gates", {}).get("entropy", {}).items():
        values[metric("gate_entropy", task)] = value
    if "dead_units" in look:
        values[metric("dead_units", *of)] = look["dead_units"]["share"]
    dense = look.get("gradients", {}).get("dense", {})
    if "conflict_share" in dense:
        values[metric("conflict_share", *of)] = dense["conflict_share"]
    if len(tasks) <= MOST_TASKS:
        for i, one in enumerate(tasks):
            for j, other in enumerate(tasks):
                if i < j and dense:
                    values[metric("gradient_cosine", f"{one}_{other}")] = dense["cosines"][i][j]
                if i != j and "affinity" in look:
                    values[metric("affinity", f"{one}_{other}")] = look["affinity"][i][j]
    return values


def _primary(result: Result) -> dict[str, str]:
    return {task.name: task.metric for task in Schema.from_json(result.data["schema"]).tasks}


def _params(run: Mapping[str, Any]) -> dict[str, str]:
    groups = {"method": "method_options", "balancer": "balancer_options", "training": "training"}
    return {f"{group}.{k}": v for group, name in groups.items() for k, v in _flat(run[name]).items()}


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested options to `a.b` -> text."""
    texts: dict[str, str] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            texts |= _flat(value, f"{prefix}{key}.")
        else:
            texts[prefix + key] = text(value)
    return texts


def text(value: Any) -> str:
    """Return a value as tags and parameters show it, the same from Python and from JSON."""
    if isinstance(value, list | tuple):
        return " ".join(map(text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def metric(*parts: str) -> str:
    """Join parts into a metric's name; characters that MLflow refuses become spaces."""
    return "/".join(" ".join(re.sub(r"[^\w.\-:]+", " ", part).split()) for part in parts)


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Drop undefined values."""
    return {k: float(v) for k, v in values.items() if v is not None and math.isfinite(v)}


def _mean(seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over the seeds of the values that all of them have."""
    return {key: fmean(seed[key] for seed in seeds) for key in seeds[0] if all(key in seed for seed in seeds)}


def _end(result: Result) -> int:
    return int(datetime.fromisoformat(result.data["finished_at"]).timestamp() * 1000)


def _start(result: Result) -> int:
    return _end(result) - int(result.data["costs"]["wall_seconds"] * 1000)


def _dataset(document: Mapping[str, Any]) -> str:
    return f"{document['dataset']} (simulated data)" if document["simulated"] else str(document["dataset"])


def _note(sentence: str, table: str = "") -> str:
    whole = f"{sentence}\n\n{table}".strip()
    return whole if len(whole) <= NOTE_LENGTH else sentence


def _table(arms: Sequence[Arm]) -> str:
    """Return a Markdown table of gains with 95 % intervals, verdicts, and on simulated data the truth."""
    rows = [(arm.name, task, row) for arm in arms for task, row in arm.comparisons.items()]
    if not rows:
        return ""
    heads = ["method", "task", "metric", "gain", "95 % interval", "verdict"]
    heads += ["planted truth"] if any("truth" in row for _, _, row in rows) else []
    lines = [heads, ["---"] * len(heads)]
    for name, task, row in rows:
        low, high = map(_number, row["interval"] or (None, None))
        cells = [name, task, row["metric"], _number(row["gain"]), f"{low} to {high}", row["verdict"]]
        lines.append([*map(str, cells), str(row.get("truth", ""))][: len(heads)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:+.4f}"
