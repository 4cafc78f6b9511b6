"""Trials of a method on two rows: whether it keeps its contract, and whether its tasks share parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlbench.errors import UsageError
from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.schema import Task

ROWS = 2


def probe(
    method: type[Method], config: NetworkConfig, spec: InputSpec, tasks: Sequence[Task]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Build a model and run it on two rows of random input.

    Returns:
        Parameters and embedded ids, and the losses computed from them.

    Raises:
        UsageError: outputs or losses are not what `Method.forward` and `Method.losses` promise.
    """
    with torch.random.fork_rng(devices=[]):
        model = method(spec, tasks, config)
        positions = sum(field.length for field in spec.sequences)
        tables = range(method.tables(tasks))
        shape = (ROWS, len(spec.categorical), config.embedding_dim)
        inputs = Inputs(
            spec,
            tuple(torch.randn(shape, requires_grad=True) for _ in tables),
            tuple(torch.randn(ROWS, positions, config.embedding_dim, requires_grad=True) for _ in tables),
            torch.ones(ROWS, positions),
            torch.randn(ROWS, spec.numeric),
        )
        outputs = model(inputs)
        _refuse(method, "forward", outputs, tasks, ("batch", "1 or more"))
        losses = model.losses(outputs, torch.ones(ROWS, len(tasks)))
        _refuse(method, "losses", losses, tasks, ())
    return [*model.parameters(), *inputs.categorical, *inputs.sequence], losses


def shares(method: type[Method], config: NetworkConfig, spec: InputSpec, tasks: Sequence[Task]) -> bool:
    """Return whether the losses of at least two tasks reach the same parameter or embedding table.

    Raises:
        UsageError: as in `probe`.
    """
    built, losses = probe(method, config, spec, tasks)
    leaves = [leaf for leaf in built if leaf.numel()]  # an embedding of no field holds nothing to share
    gradients = [
        torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) for loss in losses.values()
    ]
    return any(sum(g is not None for g in column) > 1 for column in zip(*gradients, strict=True))


def _refuse(
    method: type[Method], function: str, given: object, tasks: Sequence[Task], wanted: tuple[str, ...]
) -> None:
    """Refuse anything but one tensor per task of the `wanted` shape: (batch, 1) or wider, or a scalar."""
    code = getattr(method, function).__code__
    where = f"{code.co_filename}:{code.co_firstlineno}: {method.__name__}.{function}"
    names = [task.name for task in tasks]
    if not isinstance(given, dict):
        raise UsageError(f"{where} returns a {type(given).__name__}; wanted is a dict of task to tensor.")
    if set(given) != set(names):
        raise UsageError(
            f"{where} returns {', '.join(map(str, given)) or 'no task'}; wanted are {', '.join(names)}: take "
            "the names from self.tasks."
        )
    for name, tensor in given.items():
        if not isinstance(tensor, Tensor):
            raise UsageError(f"{where}: {name} is a {type(tensor).__name__}; wanted is a tensor.")
        shape = tuple(tensor.shape)
        right = len(shape) == 2 and shape[0] == ROWS and shape[1] >= 1 if wanted else not shape
        if not right:
            form = f"({', '.join(wanted)})" if wanted else "a scalar, ()"
            raise UsageError(f"{where}: {name} has shape {shape} on {ROWS} rows; wanted is {form}.")
