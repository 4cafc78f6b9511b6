"""Disjoint: the multi-task code path with nothing shared. The A/A test of the code itself.

    y_k = h^k( f^k(x^k) )

One embedding table, one network and one tower per task, in one model that is trained on the sum of the task
losses and has one deployable checkpoint. No parameter sees another task's gradient, and Adam is elementwise:
after the same number of steps it scores as `single-task` does, and so does its best checkpoint for each task.
A difference would be a fault of the tool, not an effect of sharing. What its deployable checkpoint loses
against `single-task` is the price of stopping all tasks at the same step.

All tasks start from the same weights, and drop the same units, as the single-task models of that seed.
Departures from a paper: none; this is the definition.

Pitfalls: it is a test of the code, not a model for use: one checkpoint holds K tables, and all tasks must
stop at the same step.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.single_task import SingleTask
from mtlbench.schema import Task


class Disjoint(Method):
    """One single-task model per task, side by side, each with its own embedding table."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig) -> None:
        super().__init__(spec, tasks, config)
        model = SingleTask(spec, (replace(tasks[0], name="own"),), config)  # forward ignores the task's kind
        self.models = nn.ModuleDict({k: deepcopy(model) for k in self.tasks})

    @classmethod
    def tables(cls, tasks: Sequence[Task]) -> int:
        """Return the number of tasks: one table each."""
        return len(tasks)

    def dropout_key(self, name: str) -> str:
        """Return the layer's name in the single-task model of its task."""
        _, _, inner = name.removeprefix("models.").partition(".")
        return inner

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map each task's own embedding of the fields to its output, each (batch, 1)."""
        return {
            task: model(inputs.from_table(table))["own"]
            for table, (task, model) in enumerate(self.models.items())
        }
