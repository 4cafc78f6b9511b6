"""PLE: Progressive Layered Extraction.

Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
Recommendations", RecSys 2020, section 4.2. https://doi.org/10.1145/3383313.3412236

Levels j = 1 ... N of CGC (see there for S^k, a task's own experts beside shared ones), each reading the
mixtures of the level below; for task k, and for the shared part (s):

    g^{k,j} = softmax(W^{k,j} g^{k,j-1}) S^{k,j},    g^{k,0} = g^{s,0} = x
    g^{s,j} = softmax(W^{s,j} g^{s,j-1}) S^{s,j},    j < N,    S^{s,j}: those of all tasks and the shared
    y^k = t^k( g^{k,N} )

Experts of task k read g^{k,j-1}, shared ones g^{s,j-1}. With one level it is CGC.

Departs from the paper: x is the concatenated field embeddings, which all tasks share; experts are normalised;
weighting the task losses (section 4.3) is left to the balancer. The defaults are the tool's small networks:
two levels, two own and two shared experts in each.

Among other implementations, torch-rechub's gates have a bias and batch-normalised logits; deepctr-torch
builds as many shared experts as own ones, whatever number is requested, and uses only the requested ones;
FuxiCTR's shared gate sees only the shared experts. Apart from these differences, the first two compute the
same as this.

Pitfalls: levels times tasks times experts: the largest method here for its layer sizes, so compare it with
single-task-wide and use no more levels than the data support. Already at the first of two levels the own
experts of a task feed all others through the shared gate: nothing below the last level is a task's own. Gates
may starve experts as in CGC.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method
from mtlbench.methods.cgc import CGCConfig, Extraction
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class PLEConfig(CGCConfig):
    """Options of PLE; `network` is the shape of each expert, at every level.

    Attributes:
        task_experts: m_k, number of each task's own experts, per level.
        shared_experts: m_s, number of experts that all tasks share, per level.
        levels: N, number of levels at which experts are mixed.
    """

    levels: int = 2

    def __post_init__(self) -> None:
        CGCConfig.__post_init__(self)
        if self.levels < 1:
            raise ValueError(f"levels = {self.levels}; at least 1")


class PLE(Method):
    """Extraction levels, and one tower per task."""

    Config = PLEConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: PLEConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        widths = [self.features.width] + [config.network[-1]] * (config.levels - 1)
        below = [Extraction(width, self.tasks, config, last=False) for width in widths[:-1]]
        self.below, self.last = nn.ModuleList(below), Extraction(widths[-1], self.tasks, config, last=True)
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        extracted, _ = self.last(*self._below(inputs))
        return {task: tower(extracted[task]) for task, tower in self.towers.items()}

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return each task's last gate, over the experts of the first task, ..., and the shared ones."""
        return self.last.shares(self._below(inputs)[0])

    def _below(self, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the inputs of the last level: each task's and the shared one."""
        x = self.features(inputs)
        own, shared = dict.fromkeys(self.tasks, x), x
        for level in self.below:
            own, shared = level(own, shared)
        return own, shared
