"""CGC: Customized Gate Control.

Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
Recommendations", RecSys 2020, section 4.1. https://doi.org/10.1145/3383313.3412236

For task k, with its own experts E_(k,i), shared experts E_(s,i) and tower t^k:

    y^k = t^k( g^k(x) ),    g^k(x) = w^k(x) S^k(x),    w^k(x) = softmax(W_g^k x)
    S^k = [E_(k,1), ..., E_(k,m_k), E_(s,1), ..., E_(s,m_s)]

With one own expert per task and no shared ones it is embedding-sharing; without own experts it is MMoE; with
further levels above it, it is PLE.

Departs from the paper: x is the concatenated field embeddings, which all tasks share; experts are normalised;
weighting the task losses (section 4.3) is left to the balancer. The defaults are the tool's small networks:
two own and two shared experts, so that each gate chooses among four, as those of MMoE do.

Pitfalls: the number of experts grows with that of tasks, so compare it with single-task-wide, not only with
single-task. A shared expert may end up serving one task, and a rare task may leave its own experts unused
(Wang et al., "HoME", 2024, report both): the gates' shares show it. Own experts of a rare task see few
positives and overfit first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.experts import Experts, mixture
from mtlbench.methods.features import Features
from mtlbench.methods.layers import Linear, mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class CGCConfig(NetworkConfig):
    """Options of CGC; `network` is the shape of each expert.

    Attributes:
        task_experts: m_k, number of each task's own experts.
        shared_experts: m_s, number of experts that all tasks share.
    """

    task_experts: int = 2
    shared_experts: int = 2

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        own, shared = self.task_experts, self.shared_experts
        if min(own, shared) < 0 or own + shared < 1:
            raise ValueError(f"task_experts = {own}, shared_experts = {shared}; none below 0, one above it")


class CGC(Method):
    """One extraction level, and one tower per task."""

    Config = CGCConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: CGCConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        self.level = Extraction(self.features.width, self.tasks, config, last=True)
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        extracted, _ = self.level(dict.fromkeys(self.tasks, x), x)
        return {task: tower(extracted[task]) for task, tower in self.towers.items()}

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return each task's gate over the experts of the first task, ..., the last, and the shared ones."""
        return self.level.shares(dict.fromkeys(self.tasks, self.features(inputs)))


class Extraction(nn.Module):
    """Own and shared experts, and the gates over them: all of CGC below its towers, one level of PLE.

    A gate mixes only the experts that it sees, instead of giving the others a share of 0. So no other task's
    loss reaches a task's own experts, and gradient balancers treat them as its own too.
    """

    def __init__(self, input_dim: int, tasks: Sequence[str], config: CGCConfig, *, last: bool) -> None:
        super().__init__()
        self.counts = own, shared = config.task_experts, config.shared_experts
        self.own = nn.ModuleDict({k: Experts(own, input_dim, config) for k in tasks})
        self.shared = Experts(shared, input_dim, config)
        self.gates = nn.ModuleDict({k: Linear(input_dim, own + shared, bias=False) for k in tasks})
        self.shared_gate: nn.Linear | None = None  # only the next level's shared experts read its output
        if shared and not last:
            self.shared_gate = Linear(input_dim, own * len(tasks) + shared, bias=False)

    def forward(self, x: Mapping[str, Tensor], x_shared: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Map each task's input and the shared one, (batch, input_dim) each, to those of the next level."""
        own = {task: experts(x[task]) for task, experts in self.own.items()}
        shared = self.shared(x_shared)
        extracted = {}
        for task, gate in self.gates.items():
            extracted[task] = mixture(gate(x[task]).softmax(dim=-1), [*own[task], *shared])
        if self.shared_gate is not None:
            everyone = [*chain(*own.values()), *shared]
            x_shared = mixture(self.shared_gate(x_shared).softmax(dim=-1), everyone)
        return extracted, x_shared

    def shares(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each task's gate over all experts, (batch, expert), NaN for those that it does not see."""
        shares = {}
        for task, gate in self.gates.items():
            own, shared = gate(x[task]).softmax(dim=-1).split(self.counts, dim=-1)
            seen = [own if k == task else torch.full_like(own, torch.nan) for k in self.gates]
            shares[task] = torch.cat([*seen, shared], dim=-1)
        return shares
