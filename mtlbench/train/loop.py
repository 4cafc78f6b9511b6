"""The training loop: all replicas of a stack, step by step, until each has stopped.

Validation is scored a few times per epoch. Two kinds of checkpoint are kept per replica: the deployable one,
from the evaluation that maximises `mean_k M_k / delta_k` (M_k the primary metric of task k, delta_k the
smallest effect that matters), and per task the one that is best for that task alone, so that tasks which peak
at different times are not mistaken for tasks that interfere.

Patience is counted for each of these criteria separately: one is settled after `patience` evaluations without
improvement, and a replica stops when all its criteria are settled. A task's own checkpoint is thus exactly
the one at which a model of that task alone, with the same predictions, would have stopped.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlbench import metrics
from mtlbench.balancing.base import Balancer
from mtlbench.config import TrainingSettings
from mtlbench.errors import UndefinedMetric
from mtlbench.load import Prepared
from mtlbench.schema import Task
from mtlbench.train.blueprint import Blueprint, Replica, Weights
from mtlbench.train.matrices import Gathered, Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.order import steps
from mtlbench.train.probe import Probe
from mtlbench.train.snapshot import Snapshots, Training
from mtlbench.train.stack import Stack
from mtlbench.train.step import Stepper
from mtlbench.train.trained import Checkpoint, Trained

REVISION = 6
"""Revision of the training loop, raised in any commit that may change a number; part of a run's identity."""
REPORT_STEPS = 20
NONE = Snapshots(None)
MOST_LOOKS = 16
"""Maximum number of evaluations per run with diagnostics; of more, evenly spaced ones are chosen."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rows per step, steps per epoch and in total, and the steps after which to evaluate and to diagnose."""

    batch: int
    steps: int
    total: int
    evaluations: frozenset[int]
    looks: frozenset[int]

    @classmethod
    def of(cls, rows: int, settings: TrainingSettings) -> "Schedule":
        """Make the schedule, of whole batches only: rows left over in an epoch wait for the next shuffle."""
        batch = min(settings.batch_rows, rows)
        steps = rows // batch
        total = steps * settings.epochs
        often = settings.epochs * settings.evaluations_per_epoch
        marks = {max(1, round(total * i / often)) for i in range(1, often + 1)}
        often = min(MOST_LOOKS, len(marks))
        looks = {sorted(marks)[len(marks) * i // often - 1] for i in range(1, often + 1)}
        return cls(batch, steps, total, frozenset(marks), frozenset(looks))


def train(
    blueprint: Blueprint,
    balancer: Balancer,
    settings: TrainingSettings,
    replicas: Sequence[Replica],
    prepared: Prepared,
    device: torch.device,
    progress: Callable[[int], None],
    snapshots: Snapshots = NONE,
) -> list[Trained]:
    """Train the replicas as one stack. Reads the train and validation splits, never test.

    Args:
        blueprint: the method on this dataset.
        balancer: turns task losses into weights; made for these replicas.
        settings: epochs, batch, learning rate, stopping.
        replicas: members of the stack; their tasks must be of the same kinds.
        prepared: where the splits are.
        device: where to train.
        progress: told how many more rows are done, over all replicas; the rows that an early stop
            saves count as done.
        snapshots: where snapshots are kept, to resume an interrupted training of this stack; by default none.

    Returns:
        The outcome of each replica, in the order given. One that fails does not disturb the others.
    """
    clock = time.perf_counter()
    stack = Stack(blueprint, replicas, device, settings.precision)
    data = Matrices.of(prepared.open_split("train"), stack.layout, device)
    validation = Matrices.of(prepared.open_split("validation"), stack.layout, device)
    optimiser = StackedAdam(stack, settings)
    schedule = Schedule.of(len(data), settings)
    probe = Probe(stack, data, settings.learning_rate, len(schedule.looks))
    take = Stepper(stack, balancer, optimiser, data, schedule.total)
    outcomes = [Trained(replica) for replica in replicas]
    training = Training(stack, optimiser, balancer, outcomes, settings.patience)
    begun = snapshots.resume(training)
    going = training.going  # those still in the stack, in its order

    def after(done: int) -> Iterator[Tensor | Gathered]:
        seeds, wanted = [replica.seed for replica in stack.replicas], range(done, schedule.total)
        where = data.labels.device
        order = steps(seeds, wanted, len(data), schedule.batch, settings.shuffle_rows, where)
        return data.fetched(order)

    coming = after(begun)
    losses: list[Tensor] = []
    weights: list[Tensor] = []
    unreported = 0
    stopped = len(outcomes) - len(going)
    progress((schedule.total * stopped + begun * len(going)) * schedule.batch)

    for step in range(begun + 1, schedule.total + 1 if going else 0):
        loss, weight = take(next(coming), step)
        losses.append(loss)
        weights.append(weight)
        unreported += len(stack.replicas) * schedule.batch
        if step % REPORT_STEPS == 0 or step in schedule.evaluations:
            progress(unreported)
            unreported = 0
        if step not in schedule.evaluations:
            continue

        train_loss = torch.stack(losses).mean(dim=0).cpu().numpy()  # (replica, task)
        task_weights = torch.stack(weights).mean(dim=0).cpu().numpy()  # (replica, task)
        losses.clear()
        weights.clear()
        optimiser.settle()
        scores = stack.predict(validation).numpy()  # (replica, row, task)
        seconds = (time.perf_counter() - clock) / len(stack.replicas)
        clock = time.perf_counter()
        kept = []
        number = sum(look < step for look in schedule.looks)
        for i, outcome in enumerate(going):
            if not outcome.settled(None, settings.patience):
                outcome.rows, outcome.seconds = step * schedule.batch, outcome.seconds + seconds
            at = step, step / schedule.steps
            _judge(outcome, stack, i, scores[i], validation.labels, train_loss[i], at, settings.patience)
            if outcome.failure is None:
                outcome.history[-1]["task_weights"] = _by_task(stack, outcome, task_weights[i])
                if step in schedule.looks:
                    began = time.perf_counter()
                    outcome.history[-1]["diagnostics"] = probe.look(i, number)
                    clock += time.perf_counter() - began  # the tool's cost, not the method's
            if outcome.failure is None and not outcome.all_settled(settings.patience):
                kept.append(i)
        stopped = len(going) - len(kept)
        progress(stopped * (schedule.total - step) * schedule.batch)
        going = [going[i] for i in kept]
        if stopped and kept:
            training.keep(kept)
            coming = after(step)
        began = time.perf_counter()
        snapshots.save_if_due(training, step)
        clock += time.perf_counter() - began
        if not going:
            break
    return outcomes


def _judge(
    outcome: Trained,
    stack: Stack,
    place: int,
    scores: NDArray[np.float32],
    labels: Tensor,
    train_loss: NDArray[np.float32],
    at: tuple[int, float],
    patience: int,
) -> None:
    """Score one replica's validation predictions (row, task); keep its weights if they are the best yet."""
    step, epoch = at
    tasks = {k: stack.blueprint.schema.tasks[k] for k in outcome.replica.tasks}
    if not (np.isfinite(train_loss).all() and np.isfinite(scores).all()):
        outcome.failure = f"the loss was no longer finite at step {step}; try a lower --learning-rate"
        return
    figures = {
        k: primary(task, labels[:, k].numpy(force=True), scores[:, i])
        for i, (k, task) in enumerate(tasks.items())
    }
    outcome.history.append(
        {
            "step": step,
            "epoch": epoch,
            "train_loss": {t.name: float(loss) for t, loss in zip(tasks.values(), train_loss, strict=True)},
            "validation": {t.name: figures[k] for k, t in tasks.items()},
        }
    )
    criterion = float(np.mean([figures[k] / task.smallest_effect for k, task in tasks.items()]))
    weights: Weights | None = None
    for which, value in ((None, criterion), *figures.items()):
        if outcome.settled(which, patience):
            continue
        old = outcome.deployable if which is None else outcome.best.get(which)
        if old is not None and value <= old.criterion:
            outcome.stale[which] = outcome.stale.get(which, 0) + 1
            continue
        weights = weights or stack.weights(place)
        new, outcome.stale[which] = Checkpoint(step, value, weights), 0
        if which is None:
            outcome.deployable = new
        else:
            outcome.best[which] = new


def _by_task(stack: Stack, outcome: Trained, values: NDArray[np.float32]) -> dict[str, float] | None:
    """Return task name -> value; None if a value is not finite."""
    names = [stack.blueprint.schema.tasks[k].name for k in outcome.replica.tasks]
    return dict(zip(names, map(float, values), strict=True)) if np.isfinite(values).all() else None


def primary(task: Task, label: NDArray[np.float32], score: NDArray[np.float32]) -> float:
    """Return the task's primary metric on the rows where it is defined; 0 if the metric is undefined."""
    defined = ~np.isnan(label)
    try:
        return float(getattr(metrics, task.metric)(label[defined], score[defined]))
    except UndefinedMetric:
        return 0.0
