"""The cost of a balancer: time of a training step with it, compared with one with equal weights.

Steps of all balancers take turns, so that other load on the machine affects all alike, and each cost is a
ratio of medians within one run. Backward passes are counted, not timed: K for the task gradients of K tasks,
one more if the method has a penalty; the rest of the time is the balancer's own solving.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import Balancer
from mtlbench.config import EQUAL, TrainingSettings
from mtlbench.devices import device_name
from mtlbench.errors import UsageError
from mtlbench.files import write_json, write_text
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method
from mtlbench.provenance import commit, now, versions
from mtlbench.registry import lookup
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.matrices import Batch, Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.randomness import generator
from mtlbench.train.stack import Stack
from mtlbench.train.step import take_step

WARM_UP, STEPS = 3, 5
"""Number of untimed steps at the start, and of steps per turn."""


def bench_balancers(
    home: Home,
    prepared: Prepared,
    method: str,
    device: torch.device,
    rounds: int,
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Measure the balancers, write `results/speed/balancers.json` and `.md`, return the JSON document.

    Args:
        home: home to which results are written.
        prepared: dataset to train on.
        method: a multi-task network, at its default options.
        device: device of the steps; a CPU uses one thread, as the workers of `run` do.
        rounds: number of turns of each balancer.
        progress: receives the current round and the number of rounds.

    Raises:
        UsageError: the method is not one network for all tasks.
    """
    cls = lookup(METHODS, method, "method").load()
    if not issubclass(cls, Method) or cls.per_task:
        raise UsageError(f"{method} is not one network for all tasks: there is nothing to balance.")
    if device.type == "cpu":
        torch.set_num_threads(1)
    blueprint = Blueprint.of(cls, cls.Config(), prepared)
    settings = TrainingSettings()
    names = [name for name, entry in BALANCERS.items() if entry.family != "frontier"]
    steppers = {name: _Stepper(blueprint, name, prepared, device, settings) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        progress("rounds", turn, rounds)
        for name, stepper in steppers.items():
            times[name].append(stepper.seconds())
    plain = median(times[EQUAL])
    document = {
        "command": f"mtlbench bench balancers --dataset {prepared.name} --method {method}",
        "dataset": prepared.name,
        "fingerprint": prepared.fingerprint,
        "method": method,
        "tasks": len(prepared.schema.tasks),
        "batch_rows": settings.batch_rows,
        "rounds": rounds,
        "device": device_name(device),
        "versions": versions("torch"),
        "commit": commit(),
        "load": os.getloadavg()[0],
        "measured_at": now(),
        "seconds_a_step": plain,
        "balancers": [
            {
                "name": name,
                "kind": steppers[name].balancer.kind,
                "backward_passes": steppers[name].passes,
                "ratio": median(times[name]) / plain,
            }
            for name in names
        ],
    }
    folder = home.results / "speed"
    write_json(folder / "balancers.json", document)
    write_text(folder / "balancers.md", markdown(document))
    return document


class _Stepper:
    """One stack of one replica with one balancer, a few steps at a time."""

    def __init__(
        self,
        blueprint: Blueprint,
        name: str,
        prepared: Prepared,
        device: torch.device,
        settings: TrainingSettings,
    ) -> None:
        cls: type[Balancer] = lookup(BALANCERS, name, "balancer").load()
        self.stack = Stack(blueprint, blueprint.replicas(0), device)
        self.balancer = cls(blueprint.schema.task_names, [cls.Config()], [generator(0, "balancer")])
        self.optimiser = StackedAdam(self.stack, settings)
        self.data = Matrices.of(prepared.open_split("train"), self.stack.layout, device)
        self.rows = min(settings.batch_rows, len(self.data))
        self.done = 0
        with _counted() as calls:
            self._step()
        self.passes = len(calls)
        for _ in range(WARM_UP):
            self._step()

    def seconds(self) -> float:
        """Return the median wall seconds of a step, over one turn."""
        taken = []
        for _ in range(STEPS):
            begin = time.perf_counter()
            self._step()
            if self.stack.device.type == "cuda":
                torch.cuda.synchronize(self.stack.device)
            taken.append(time.perf_counter() - begin)
        return median(taken)

    def _step(self) -> None:
        self.done += 1
        take_step(self.stack, self.balancer, self.optimiser, self._batch(), self.done)

    def _batch(self) -> Batch:
        start = self.done * self.rows % max(1, len(self.data) - self.rows)
        return self.data.batch(torch.arange(start, start + self.rows, device=self.stack.device).unsqueeze(0))


@contextmanager
def _counted() -> Iterator[Sequence[None]]:
    """Collect one item per backward pass."""
    calls: list[None] = []
    autograd: Any = torch.autograd
    kept = autograd.grad, autograd.backward

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            return real(*args, **kwargs)

        return call

    autograd.grad, autograd.backward = (counting(real) for real in kept)
    try:
        yield calls
    finally:
        autograd.grad, autograd.backward = kept


def markdown(document: Mapping[str, Any]) -> str:
    """Render the figures as a page."""
    lines = [
        "# What a balancer costs",
        "",
        f"`{document['command']}`: time of a training step against equal weights "
        f"({1000 * document['seconds_a_step']:.1f} ms), medians over {document['rounds']} rounds in which "
        f"all take turns; {document['method']} at its defaults, {document['tasks']} tasks, "
        f"{document['batch_rows']} rows a step.",
        "",
        f"Device: {document['device']}, load {document['load']:.1f}; "
        f"{', '.join(f'{name} {version}' for name, version in document['versions'].items())}; "
        f"commit {document['commit'] or 'unknown'}; {document['measured_at']}. "
        f"Data: {document['dataset']}, fingerprint `{document['fingerprint']}`.",
        "",
        "| balancer | sees | backward passes | time of a step |",
        "| --- | --- | ---: | ---: |",
    ]
    sees = {"loss": "losses", "gram": "Gram matrix", "jacobian": "task gradients"}
    lines += [
        f"| {one['name']} | {sees[one['kind']]} | {one['backward_passes']} | {one['ratio']:.2f}x |"
        for one in document["balancers"]
    ]
    return "\n".join(lines) + "\n"
