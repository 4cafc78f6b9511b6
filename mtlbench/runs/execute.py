"""Execute one job: train, evaluate and store the runs that have no result yet."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

import torch

from mtlbench.config import RunSpec
from mtlbench.errors import DataError
from mtlbench.floors.base import Floor
from mtlbench.home import Home
from mtlbench.load import open_prepared
from mtlbench.methods import METHODS
from mtlbench.plugins import refuse_changed
from mtlbench.provenance import commit
from mtlbench.registry import lookup
from mtlbench.runs.attempts import hold
from mtlbench.runs.floors import fit_floors
from mtlbench.runs.networks import train_networks
from mtlbench.runs.outcome import Failure, FinishedRun, Outcome
from mtlbench.runs.store import finished, set_aside, store_run
from mtlbench.train.memory import keep_freed_blocks


def execute(
    home: Home,
    dataset: str,
    specs: Sequence[RunSpec],
    device: torch.device,
    progress: Callable[[int], None],
    *,
    stacked: bool | None = None,
    again: bool = False,
    wait: bool = False,
) -> list[Outcome]:
    """Train, evaluate and store runs that differ only in seed and in the balancer's options.

    Runs that another process is training, or has finished meanwhile, are not trained. A run fails, and stores
    nothing, if its data are missing or damaged, or have changed since it was planned.

    Args:
        home: where data and results are stored.
        dataset: name of the prepared dataset.
        specs: the runs.
        device: where to train.
        progress: told how many more rows have been trained on.
        stacked: whether all models form one stack; by default only on a GPU.
        again: also train runs that already have a result.
        wait: wait until no other process is training them.

    Raises:
        UsageError: code has changed since the runs were planned.
    """
    commit()  # cached now: of the code that is loaded, not of the checkout at the end of training
    refuse_changed(specs[0])
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as held:
        for spec in specs:
            if not hold(held, home.training(dataset) / spec.hash, wait=wait):
                outcomes[spec.hash] = Outcome(spec, "taken")
            elif not again and (result := finished(home, dataset, spec)) is not None:
                outcomes[spec.hash] = Outcome(spec, "reused", result)
        mine = [spec for spec in specs if spec.hash not in outcomes]
        for left_over in (path for spec in mine for path in home.runs(dataset).glob(f".{spec.hash}-*")):
            shutil.rmtree(left_over, ignore_errors=True)  # from a process that was killed while writing
        if mine:
            try:
                for outcome in _train(home, dataset, mine, device, progress, stacked=stacked, again=again):
                    outcomes[outcome.spec.hash] = outcome
            except DataError as error:  # runs already stored, or held by another process, have not failed
                lost = [spec for spec in mine if spec.hash not in outcomes]
                outcomes |= {spec.hash: Outcome(spec, "failed", reason=str(error)) for spec in lost}
    return [outcomes[spec.hash] for spec in specs]


def _train(
    home: Home,
    dataset: str,
    specs: Sequence[RunSpec],
    device: torch.device,
    progress: Callable[[int], None],
    *,
    stacked: bool | None,
    again: bool,
) -> Iterator[Outcome]:
    """Train the runs whose locks this process holds."""
    prepared = open_prepared(home, dataset, specs[0].tasks, specs[0].fingerprint)
    kind = lookup(METHODS, specs[0].method, "method").load()
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_freed_blocks()
    ended: Iterable[FinishedRun | Failure]
    if issubclass(kind, Floor):
        ended = fit_floors(kind, prepared, specs, progress)
    else:
        together = device.type != "cpu" if stacked is None else stacked
        unfinished = home.training(dataset) / specs[0].hash
        ended = train_networks(
            kind, prepared, specs, device, progress, stacked=together, unfinished=unfinished
        )
    for spec, run in zip(specs, ended, strict=True):
        if isinstance(run, Failure):
            yield Outcome(spec, "failed", reason=run.reason)
        else:
            if not again:
                set_aside(home, dataset, spec)
            yield Outcome(spec, "done", store_run(home, prepared, spec, run, device))
