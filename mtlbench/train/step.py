"""A step of a stack: run as it is written, or on a CUDA device captured once and replayed.

A replay launches all kernels of a step at once, so that a small network costs what it computes and not what
Python takes to say so. What would have to come from the host at every step cannot be captured: dropout masks,
balancers that draw or solve there, data that do not lie on the device. Then steps run as they are written.
"""

import os
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer, GramBalancer
from mtlbench.train.backward import backward
from mtlbench.train.matrices import Batch, Gathered, Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.stack import Stack

WARM_UP = 3
"""Steps before a capture: libraries set themselves up in the first ones."""
WORTH_COMPILING = 20_000
"""Steps from which a training makes good the minute that compiling takes; a guess, until it is measured."""
AS_WRITTEN = "MTLBENCH_EAGER"
"""Environment variable: where it is set, nothing is compiled or captured."""

Outcome = tuple[Tensor, Tensor]
"""Losses and weights of a step, (replica, task) each."""
Run = Callable[[], Outcome]


def take_step(
    stack: Stack, balancer: Balancer, optimiser: StackedAdam, batch: Batch, step: int
) -> tuple[Tensor, Tensor]:
    """One update of every replica; returns losses and weights (replica, task).

    It does not wait for the device, unless the balancer solves on the host (`syncs`).
    """
    embedded = optimiser.look_up(batch.ids, each=isinstance(balancer, GramBalancer))
    losses, penalties = stack.losses(batch, embedded, step)
    weights = backward(balancer, losses, penalties, list(stack.parameters.values()), embedded.tables)
    optimiser.step(embedded)
    if balancer.wants_after:
        with torch.no_grad():
            after, _ = stack.losses(batch, stack.look_up(batch.ids), step, learning=False)
        balancer.after(torch.stack(after, dim=1))
    return torch.stack([loss.detach() for loss in losses], dim=1), weights


class Stepper:
    """Takes the steps of a training.

    Args:
        stack, balancer, optimiser, data: what a step is made of.
        steps: how many there will be at the most.
        record: makes of a step one that can be replayed; None runs steps as they are written.
    """

    def __init__(
        self,
        stack: Stack,
        balancer: Balancer,
        optimiser: StackedAdam,
        data: Matrices,
        steps: int,
        record: Callable[[Run], Run] | None = None,
    ) -> None:
        self._stack, self._balancer, self._optimiser, self._data = stack, balancer, optimiser, data
        cuda = stack.device.type == "cuda" and AS_WRITTEN not in os.environ
        replays = data.resident and balancer.replays and stack.replays
        self._record = record or (captured if cuda and replays else None)
        # A compiled backward pass returns zeros, not None, for parameters that a loss does not reach: what is
        # shared could not be told from what is not.
        if cuda and steps >= WORTH_COMPILING and not isinstance(balancer, GramBalancer):
            stack.compile()
        self._forget()

    def _forget(self) -> None:
        """What was recorded is of tensors that are no longer those of the stack."""
        self._of, self._warm, self._rows = self._stack.tables, 0, torch.empty(0)
        self._replay: Run | None = None

    def __call__(self, rows: Tensor | Gathered, step: int) -> Outcome:
        """Learn from the train rows at `rows` (replica, batch), or from what was gathered of them."""
        if self._record is None or isinstance(rows, tuple):
            return self._run(rows, step)
        if self._of is not self._stack.tables:
            self._forget()
        if self._rows.shape != rows.shape:
            self._rows = torch.empty_like(rows)
        self._rows.copy_(rows)
        if self._warm < WARM_UP:
            self._warm += 1
            return aside(lambda: self._run(self._rows, step), self._stack.device)
        if self._replay is None:
            self._replay = self._record(lambda: self._run(self._rows, step))
        return self._replay()

    def _run(self, rows: Tensor | Gathered, step: int) -> Outcome:
        return take_step(self._stack, self._balancer, self._optimiser, self._data.batch(rows), step)


def captured(run: Run) -> Run:
    """A CUDA graph of `run`, which is not run yet; what it reads and writes is to stay where it is."""
    graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            losses, weights = run()
    except RuntimeError as error:
        torch.cuda.set_stream(before)  # a capture that fails leaves the process on its own stream
        reason = str(error).splitlines()[0]
        raise RuntimeError(
            f"a step cannot be captured in a CUDA graph ({reason}). A method whose step waits for the device "
            f"sets `replays = False`; {AS_WRITTEN}=1 in the environment captures none."
        ) from error

    def replay() -> Outcome:
        graph.replay()
        return losses.clone(), weights.clone()

    return replay


def aside(run: Run, device: torch.device) -> Outcome:
    """Run on another stream of the device, as what is to be captured has to be before; elsewhere as it is."""
    if device.type != "cuda":
        return run()
    here, there = torch.cuda.current_stream(device), _side_stream(device)
    there.wait_stream(here)
    with torch.cuda.stream(there):
        outcome = run()
    here.wait_stream(there)
    return outcome


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One per device: each new stream would get a cache of freed blocks and a workspace of its own."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
