"""Embedding sharing: one embedding table for all tasks, everything above it separate.

    y_k = h^k( f^k(x) )

The step between `disjoint` and `hard-sharing`: its difference from the first is the effect of sharing
embeddings, and that of hard sharing from it is the effect of the shared bottom.

All tasks start from the same weights, and drop the same units, as the single-task models of that seed.
Departures from a paper: none; this is the definition.

Pitfalls: a rare task's gradients hardly move the shared embeddings; those of a frequent one decide what an
id means for all.
"""

from collections.abc import Sequence

from torch import Tensor

from mtlbench.methods.base import Inputs
from mtlbench.methods.disjoint import Disjoint
from mtlbench.schema import Task


class EmbeddingSharing(Disjoint):
    """Disjoint networks and towers over one table."""

    @classmethod
    def tables(cls, tasks: Sequence[Task]) -> int:
        """Return 1: one table for all tasks."""
        return 1

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        return {task: model(inputs)["own"] for task, model in self.models.items()}
