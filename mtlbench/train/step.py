"""A step of a stack: run eagerly, or on a CUDA device captured once and replayed.

A replay launches all kernels of a step at once, so that a small network pays for its computation and not for
Python's overhead. Steps that need something from the host cannot be captured and run eagerly: those with
dropout masks, with balancers that draw or solve on the host, or with data that are not on the device.
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
"""Number of steps before a capture: libraries initialise themselves in the first ones."""
WORTH_COMPILING = 20_000
"""Number of training steps from which compiling, which takes a minute, saves time: a guess until measured."""
AS_WRITTEN = "MTLBENCH_EAGER"
"""Environment variable; if it is set, nothing is compiled or captured."""

Outcome = tuple[Tensor, Tensor]
"""Losses and weights of a step, (replica, task) each."""
Run = Callable[[], Outcome]


def take_step(
    stack: Stack, balancer: Balancer, optimiser: StackedAdam, batch: Batch, step: int
) -> tuple[Tensor, Tensor]:
    """Update every replica once; return losses and weights (replica, task).

    This does not wait for the device, unless the balancer solves on the host (`syncs`).
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
        steps: maximum number of steps.
        record: turns a step into one that can be replayed; None captures steps where a CUDA device can, and
            else runs them eagerly.
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
        """Drop the recorded step, whose tensors are no longer those of the stack."""
        self._of, self._warm, self._rows = self._stack.tables, 0, torch.empty(0)
        self._replay: Run | None = None

    def __call__(self, rows: Tensor | Gathered, step: int) -> Outcome:
        """Learn from the train rows at `rows` (replica, batch), or from rows already gathered."""
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
    """Capture `run` as a CUDA graph, without running it; tensors it reads or writes must not be moved."""
    graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            losses, weights = run()
    except torch.OutOfMemoryError:  # the launcher tries again with fewer replicas
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(
            f"a step cannot be captured in a CUDA graph ({reason}). A method whose step waits for the device "
            f"sets `replays = False`; {AS_WRITTEN}=1 in the environment captures none."
        ) from error
    finally:
        torch.cuda.set_stream(before)  # a failed capture leaves the process on the stream of the capture

    def replay() -> Outcome:
        graph.replay()
        return losses.clone(), weights.clone()

    return replay


def aside(run: Run, device: torch.device) -> Outcome:
    """Run on a side stream, as CUDA requires before a capture; on other devices, just run."""
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
    """Return the one side stream of a device: each new one would get its own memory cache and workspace."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
