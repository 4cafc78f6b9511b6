"""STEM: Shared and Task-specific EMbeddings (the model STEM-Net).

Su et al., "STEM: Unleashing the Power of Embeddings for Multi-task Recommendation", AAAI 2024.
https://arxiv.org/abs/2308.13537

For task k, with x_k the fields embedded by its own table and x_s by the shared one, experts f and tower h^k:

    y_k = h^k( sum_j sum_i g^k_(j,i) sg_k[ f_(j,i)(x_j) ] ),    j over all tasks and s
    g^k = softmax(W_k (x_k + x_s))

sg_k stops the gradient of task k at the experts of every other task ("all forward, task-specific backward"):
each task sees what all the others have learned, but its loss moves only its own table and experts and the
shared ones. So the gradient of one task on another's table is exactly zero, not just small.

Departs from the paper: gates are linear, as in MMoE, where its authors' code has small networks; numeric
columns are in both x_k and x_s, so a gate sees them doubled; learned parts of the input (`interaction`,
`pooling`) exist once per table, so that no gradient leaks through them; all tables start from the same draw,
as everywhere in this tool; experts are normalised. One level, one expert per task and one shared are the
defaults of its authors' code.

Pitfalls: K + 1 embedding tables are K + 1 times the parameters of most models, so a gain may come from the
tables, not the method: compare it with disjoint and single-task-wide. The other tasks' experts are not
trained for the task that reads them, so their outputs drift under its gate. A rare task's own table sees few
positives and overfits first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.experts import Experts, mixture
from mtlbench.methods.features import Features
from mtlbench.methods.layers import Linear, mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class STEMConfig(NetworkConfig):
    """Options of STEM; `network` is the shape of each expert.

    Attributes:
        task_experts: number of each task's own experts.
        shared_experts: number of experts on the shared table.
    """

    task_experts: int = 1
    shared_experts: int = 1

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        own, shared = self.task_experts, self.shared_experts
        if min(own, shared) < 1:
            raise ValueError(f"task_experts = {own}, shared_experts = {shared}; at least 1 of each")


class STEM(Method):
    """A table and experts for each task, a shared table and experts, and gates over all experts."""

    Config = STEMConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: STEMConfig) -> None:
        super().__init__(spec, tasks, config)
        own, shared = config.task_experts, config.shared_experts
        self.features = nn.ModuleDict({k: Features(spec, config) for k in self.tasks})
        self.shared_features = Features(spec, config)
        width = self.shared_features.width
        self.experts = nn.ModuleDict({k: Experts(own, width, config) for k in self.tasks})
        self.shared_experts = Experts(shared, width, config)
        visible = own * len(self.tasks) + shared
        self.gates = nn.ModuleDict({k: Linear(width, visible, bias=False) for k in self.tasks})
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    @classmethod
    def tables(cls, tasks: Sequence[Task]) -> int:
        """Return one table per task, plus the shared one, which is last."""
        return len(tasks) + 1

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map each task's view of all experts to its output, each (batch, 1)."""
        x, x_shared = self._embedded(inputs)
        own, shared = {k: experts(x[k]) for k, experts in self.experts.items()}, self.shared_experts(x_shared)
        outputs = {}
        for task, tower in self.towers.items():
            heard = [
                expert if k == task else expert.detach() for k, experts in own.items() for expert in experts
            ]
            gate = self.gates[task](x[task] + x_shared).softmax(dim=-1)  # (batch, expert)
            outputs[task] = tower(mixture(gate, [*heard, *shared]))
        return outputs

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return each task's gate over the experts of the first task, ..., the last, and the shared ones."""
        x, x_shared = self._embedded(inputs)
        return {task: gate(x[task] + x_shared).softmax(dim=-1) for task, gate in self.gates.items()}

    def _embedded(self, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
        """Compute x_k of each task, and x_s."""
        own = {task: self.features[task](inputs, table) for table, task in enumerate(self.tasks)}
        return own, self.shared_features(inputs, len(self.tasks))
