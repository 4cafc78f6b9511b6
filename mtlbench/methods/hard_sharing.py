"""Hard sharing (shared bottom): one network for all tasks, one tower per task.

Caruana, "Multitask Learning", Machine Learning 28, 1997, section 1. https://doi.org/10.1023/A:1007379606734

    y_k = h^k( f(x) )

Departs from the paper: x is the concatenation of learned field embeddings, which all tasks share; layers
are normalised.

Pitfalls: the task with the largest loss or the most positives dominates the bottom; a balancer changes
that, but it has to beat static weights chosen on validation (`static-frontier`).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


class HardSharing(Method):
    """One bottom `f`, one tower `h^k` per task."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        self.bottom = mlp(self.features.width, config.network, config)
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        bottom = self.bottom(self.features(inputs))
        return {task: tower(bottom) for task, tower in self.towers.items()}
