"""MetaHeac: Meta Hybrid Experts and Critics (its architecture).

Zhu et al., "Learning to Expand Audience via Meta Hybrid Experts and Critics for Recommendation and
Advertising", KDD 2021. https://arxiv.org/abs/2105.14688

With v_k an embedding of task k, experts f_i and critics h_j that all tasks share:

    z_k = sum_i a_i([v_k, x]) f_i(x),         a = softmax(W_a [v_k, x] + b_a)
    y_k = sum_j c_j([v_k, x]) h_j(z_k),       c = softmax(W_c [v_k, x] + b_c)

Nothing but v_k is specific to a task, not even a tower: a task is a point that the two gates read. So tasks
with equal embeddings are one task, and one expert with one critic is a single network for all of them.
(Critic is the paper's word for a tower that several tasks mix.)

Departs from the paper: only its architecture is here. Its meta-learning (each step of training looks one
step of each task ahead, as in MAML) is an update rule, not an architecture; without it this is the ablation
that learns all tasks at once. Critics are mixed as logits, so that a regression works the same way; its first
author's Multitask-Recommendation-Library averages gated probabilities. Gates read all of x where that code
reads the mean of the field embeddings, since numeric columns have none. v_k is as wide as a field's
embedding. Experts are normalised. The paper's tasks are hundreds of campaigns with rows of their own; here a
task's rows are those with a label.

Pitfalls: gates are linear, so v_k only adds a constant to their logits: a row moves the gates in the same way
in every task. With few tasks there is little to learn v_k from, and one tower per task (mmoe) is the stronger
prior. Tasks with different base rates, or a regression beside clicks, must share critics; gates may collapse
on one. With norm = batch, critics are normalised one task at a time in training, and in scoring by running
statistics over all tasks, in which the last counts most: keep norm = layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, Needs, NetworkConfig
from mtlbench.methods.experts import Experts, mixture
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaHeacConfig(NetworkConfig):
    """Options of MetaHeac; `network` is the shape of each expert, `tower` of each critic.

    Attributes:
        num_experts: experts that all tasks share.
        num_critics: critics that all tasks share.
    """

    num_experts: int = 4
    num_critics: int = 4

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        experts, critics = self.num_experts, self.num_critics
        if min(experts, critics) < 1:
            raise ValueError(f"num_experts = {experts}, num_critics = {critics}; at least 1 of each")


class MetaHeac(Method):
    """Shared experts and shared critics, mixed by gates that know the task."""

    Config = MetaHeacConfig
    needs = Needs(fewest=2)

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: MetaHeacConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        width, dim = self.features.width, config.embedding_dim
        self.embeddings = nn.ParameterDict({k: torch.randn(dim) for k in self.tasks})  # v_k
        self.experts = Experts(config.num_experts, width, config)
        self.critics = nn.ModuleList(
            mlp(config.network[-1], config.tower, config, outputs=1) for _ in range(config.num_critics)
        )
        self.expert_gate = nn.Linear(dim + width, config.num_experts)
        self.critic_gate = nn.Linear(dim + width, config.num_critics)

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        experts = self.experts(x)
        outputs = {}
        for task in self.tasks:
            known = self._known(task, x)
            z = mixture(self.expert_gate(known).softmax(dim=-1), experts)
            critics = torch.cat([critic(z) for critic in self.critics], dim=1)  # (batch, critic)
            outputs[task] = (self.critic_gate(known).softmax(dim=-1) * critics).sum(dim=1, keepdim=True)
        return outputs

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return the experts' gate for each task, (batch, expert); the critics' gate is left out."""
        x = self.features(inputs)
        return {task: self.expert_gate(self._known(task, x)).softmax(dim=-1) for task in self.tasks}

    def _known(self, task: str, x: Tensor) -> Tensor:
        """Return the input of the gates: [v_k, x], (batch, dim + width)."""
        return torch.cat([self.embeddings[task].expand(x.shape[0], -1), x], dim=1)
