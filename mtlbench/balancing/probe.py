"""Check that a balancer keeps its contract, on losses of two replicas, before training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer, GramBalancer, Jacobian, JacobianBalancer
from mtlbench.errors import UsageError

REPLICAS, WIDTH = 2, 3


def probe(balancer: type[Balancer], options: Any, tasks: Sequence[str]) -> None:
    """Call a balancer once, as training does, and check the shape of its result.

    Raises:
        UsageError: the result does not have the shape that `Balancer` promises.
    """
    made = balancer(tasks, [options] * REPLICAS)
    losses = torch.ones(REPLICAS, len(tasks))
    if isinstance(made, JacobianBalancer):
        jacobian = Jacobian((torch.ones(REPLICAS, len(tasks), WIDTH),), ())
        parts = made.combine(losses, jacobian)
        _refuse(balancer, "combine", parts[0] if len(parts) == 1 else parts, (REPLICAS, WIDTH))
    elif isinstance(made, GramBalancer):
        gram = torch.eye(len(tasks)).expand(REPLICAS, -1, -1)
        _refuse(balancer, "weights", made.weights(losses, gram), tuple(losses.shape))
    else:
        _refuse(balancer, "weights", made.weights(losses), tuple(losses.shape))


def _refuse(balancer: type[Balancer], function: str, given: object, wanted: tuple[int, ...]) -> None:
    if isinstance(given, Tensor) and tuple(given.shape) == wanted:
        return
    code = getattr(balancer, function).__code__
    what = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
    form = "(replica, task)" if function == "weights" else "one tensor (replica, ...) a part of the Jacobian"
    raise UsageError(
        f"{code.co_filename}:{code.co_firstlineno}: {balancer.__name__}.{function} returns {what}; wanted is "
        f"{form}, here {wanted}."
    )
