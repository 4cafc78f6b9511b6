"""What to run, as frozen, typed objects: a benchmark file or command-line flags become one `Benchmark`."""

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin

from mtlbench.errors import UsageError, unknown
from mtlbench.home import shipped

T = TypeVar("T")
Precision = Literal["fp32", "tf32", "bf16"]
DEFAULT_SEEDS = 5
FIRST_TUNING_SEED = 1_000_000
"""First seed reserved for choosing settings. Such runs are never compared: their luck would bias verdicts."""
BASELINE = "single-task"
"""Default method that gains are measured against."""
EQUAL = "equal"
"""Name of the balancer that does nothing: weight 1 for every task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How every model of a benchmark is trained.

    `train/precision.py` and `train/order.py` say more about `precision` and `shuffle_rows`.

    Attributes:
        epochs: maximum number of passes over the train split; early stopping may end training sooner.
        batch_rows: rows per step, the size of a mini-batch.
        learning_rate: of the Adam optimiser.
        weight_decay: strength of the L2 penalty, whose gradient is added to that of the loss (Adam, not
            AdamW); only the embeddings in the batch are decayed.
        evaluations_per_epoch: how many times per epoch the validation split is scored.
        patience: early stopping: a model stops after this many evaluations in a row without improvement on
            the validation split.
        precision: of matrix products: single (fp32), TensorFloat-32 (tf32, CUDA only) or bfloat16 (bf16).
        shuffle_rows: roughly how many rows are shuffled together, for data larger than memory; 0 means all
            of train.
    """

    epochs: int = 4
    batch_rows: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 1e-5
    evaluations_per_epoch: int = 2
    patience: int = 2
    precision: Precision = "fp32"
    shuffle_rows: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_rows", "evaluations_per_epoch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; at least 1")
        if self.shuffle_rows < 0:
            raise ValueError(f"shuffle_rows = {self.shuffle_rows}; 0 or more")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate = {self.learning_rate}; above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay = {self.weight_decay}; 0 or more")


def arm_name(method: str, balancer: str) -> str:
    """Return the name of an arm in tables and messages; the balancer is left out if it is `equal`."""
    return method if balancer == EQUAL else f"{method} + {balancer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One row of the comparison: a method with a balancer, over all seeds.

    Attributes:
        method: the name of the architecture or floor; `mtlbench list methods` has them.
        balancer: the name of the way task losses or gradients are weighted; `mtlbench list balancers` has
            them.
        family: the family of comparisons, a name of your own, in which the arm is judged; arms that name none
            form one family, except that baselines and floors form another.
        method_options: the method's options; those left out have their defaults.
        balancer_options: the balancer's options; those left out have their defaults.
    """

    method: str
    balancer: str = EQUAL
    family: str = ""
    method_options: Mapping[str, Any] = field(default_factory=dict)
    balancer_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the verdicts are about, declared before anything is run.

    Attributes:
        tasks: the tasks that are compared; by default all that the models learn.
        baseline: the method that every gain is measured against, not itself a member of the family; it is
            added if no arm has it.
        alpha: the family-wise error rate: the chance of any false POSITIVE or NEGATIVE in a family.
        delta: the smallest gain that matters, one number or one per task; by default that of the metric
            (0.001 for AUC and GAUC, 0.005 for R2, a relative 0.002 for log loss).
        metric: what is compared, on the tasks that have it: auc, gauc, log_loss or r2; by default AUC for
            binary tasks and R2 for regressions.
    """

    tasks: tuple[str, ...] = ()
    baseline: str = BASELINE
    alpha: float = 0.05
    delta: float | Mapping[str, float] | None = None
    metric: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha = {self.alpha}: give a chance of error between 0 and 1, e.g. 0.05")
        deltas = self.delta.values() if isinstance(self.delta, Mapping) else [self.delta]
        for delta in deltas:
            if delta is not None and not 0 < delta < math.inf:
                raise ValueError(f"delta = {delta}: give the smallest effect that matters, e.g. 0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A set of runs: arms times seeds on one dataset.

    The attributes are the keys of the TOML file; docs/files.md is generated from these docstrings.

    Attributes:
        run: the arms, one table each; at least one.
        name: the name under which results are tracked and published; by default the file's name without
            `.toml`.
        dataset: the name of a prepared dataset; by default the most recently prepared one.
        tasks: the tasks that the models learn; by default all but those that the dataset marks optional.
        seeds: the training seeds of every arm: a number N for 0 to N-1, or a list of distinct seeds.
        training: how every model is trained.
        family: what the verdicts are about.
    """

    run: tuple[Arm, ...]
    name: str = ""
    dataset: str = ""
    tasks: tuple[str, ...] = ()
    seeds: int | tuple[int, ...] = DEFAULT_SEEDS
    training: TrainingSettings = TrainingSettings()
    family: Family = Family()

    def __post_init__(self) -> None:
        if not self.run:
            raise ValueError('nothing to run; add a table such as [[run]] with method = "mmoe"')
        for arm in self.run:
            if arm.family in ("methods", "controls"):
                raise ValueError(f"family = {arm.family!r} is a name of our own; call it something else")
        if not self.seed_numbers:
            raise ValueError("seeds gives none; a number such as 5, or a list such as [0, 1, 2]")
        if min(self.seed_numbers) < 0 or len(set(self.seed_numbers)) < len(self.seed_numbers):
            raise ValueError(f"seeds = {list(self.seed_numbers)}; different whole numbers from 0 on")
        if max(self.seed_numbers) >= FIRST_TUNING_SEED:
            raise ValueError(f"seeds up to {max(self.seed_numbers)}; at most {FIRST_TUNING_SEED - 1}")

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The seeds as a tuple: a number N means 0..N-1."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def with_family(self, **changes: Any) -> "Benchmark":
        """Return a copy with another baseline, alpha, delta or metric; None leaves a value unchanged.

        A declared delta belongs to the declared metric: changing the metric drops it, unless a new delta is
        given too.

        Raises:
            UsageError: a value is not allowed.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        if given.get("metric", self.family.metric) != self.family.metric:
            given.setdefault("delta", None)
        try:
            return replace(self, family=replace(self.family, **given)) if given else self
        except ValueError as error:
            raise UsageError(f"{error}.") from error

    def with_baseline(self, name: str = "") -> "Benchmark":
        """Return a copy with the missing baseline arms of `name` (else `family.baseline`) put in front.

        A baseline has the same network options as the arms, so arms with different options need several
        (`mtlbench.experiment.baselines`). Baselines that the benchmark names itself stay as they are.

        Raises:
            UsageError: there is no such method, or an arm has an unknown option.
        """
        from mtlbench.experiment.baselines import missing  # loads torch; reading a file should not

        same = self.with_family(baseline=name or None)
        added = missing(same.family.baseline, same.run)
        return replace(same, run=(*added, *same.run)) if added else same


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """The identity of a run: everything its numbers depend on, except device and versions.

    `revision` holds the revision numbers of method, balancer and loop. For a plugin it also identifies the
    code (`method_code`, `balancer_code`); built-in ones have no such keys, so their hashes stay stable.
    """

    fingerprint: str
    tasks: tuple[str, ...]
    method: str
    method_options: Mapping[str, Any]
    balancer: str
    balancer_options: Mapping[str, Any]
    training: TrainingSettings
    seed: int
    revision: Mapping[str, int | str]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as stored in `result.json`."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RunSpec":
        """Build a run's identity from the output of `to_json`."""
        training, tasks = TrainingSettings(**data["training"]), tuple(data["tasks"])
        return cls(**{**data, "training": training, "tasks": tasks})

    @property
    def hash(self) -> str:
        """Hash of the identity, which names the run's folder: a run with a stored result is not repeated."""
        return sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:20]

    @property
    def program(self) -> str:
        """Hash shared by all runs that one stack can train: they differ only in seed and balancer options."""
        return replace(self, seed=0, balancer_options={}).hash


def fill(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Make a frozen dataclass from loose values (TOML, flags), nested ones included.

    Raises:
        UsageError: an unknown key (with a close match) or a bad value; the message starts with `where`.
    """
    from pydantic import TypeAdapter, ValidationError

    _refuse_unknown(cls, values, where)
    types = {f.name: f.type for f in fields(cls)}  # type: ignore[arg-type]
    alone = (int, float)  # `network = 64` means `network = [64]`
    given = {
        name: [value] if get_origin(types[name]) is tuple and isinstance(value, alone) else value
        for name, value in values.items()
    }
    try:
        return TypeAdapter(cls).validate_python(given)
    except ValidationError as error:
        raise UsageError(f"{where}: {_sentence(error)}") from error


def _refuse_unknown(cls: Any, values: Any, where: str) -> None:
    """Refuse unknown keys at every level: with a plain dataclass, pydantic would ignore typos."""
    if dataclasses.is_dataclass(cls) and isinstance(values, Mapping):
        known = {f.name: f.type for f in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise unknown(f"key in {where}:", name, known)
            _refuse_unknown(known[name], value, f"{where}: {name}")
    elif isinstance(values, list | tuple):
        for inner in getattr(cls, "__args__", ())[:1]:
            for i, value in enumerate(values, start=1):
                _refuse_unknown(inner, value, f"{where} {i}")


def _sentence(error: Any) -> str:
    """Return the first complaint of a pydantic error in plain words."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("int", "tuple")))
    given = "" if first["type"] == "missing" else f" = {first['input']!r}"
    message = str(first["msg"]).removeprefix("Value error, ")
    return message if first["type"] == "value_error" else f"{path}{given}: {message}"


def read_benchmark(path: Path) -> dict[str, Any]:
    """Return the values of a benchmark file; if it does not exist, look among the shipped ones.

    Raises:
        UsageError: there is no such file, or it is not TOML.
    """
    found = path if path.exists() else shipped("benchmarks", path.name)
    try:
        values = tomllib.loads(found.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        names = [file.name for file in sorted(shipped("benchmarks").glob("*.toml"))]
        raise unknown("benchmark file", str(path), [f"benchmarks/{name}" for name in names]) from None
    except OSError as error:
        raise UsageError(f"Benchmark file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}.") from error
    if "files" in values and "run" not in values:
        raise UsageError(f"{path} is the card of a table, no benchmark: mtlbench prepare --card {path}")
    values.setdefault("name", path.stem)
    return values


def load_benchmark(path: Path) -> Benchmark:
    """Read a benchmark file.

    Raises:
        UsageError: the file does not exist, is not TOML, or has a key or value that is not allowed.
    """
    return fill(Benchmark, read_benchmark(path), str(path))


def parse_value(text: str) -> Any:
    """Parse a flag's value as TOML would: `8`, `0.1`, `true`, `[64, 32]`, else text.

    A value with commas, such as `64,32` or `view,buy`, is a list.
    """
    for candidate in (text, f"[{text}]") if "," in text else (text,):
        try:
            return tomllib.loads(f"value = {candidate}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return [part.strip() for part in text.split(",")] if "," in text else text
