"""HoME: Hierarchy of Multi-gate Experts.

Wang et al., "HoME: Hierarchy of Multi-Gate Experts for Multi-Task Learning at Kuaishou", KDD 2025.
https://arxiv.org/abs/2408.05430

Tasks belong to groups g. An expert is a network behind its own feature gate of low rank, which gives it a
private view of its input:

    E(v) = network( 2 sigmoid(B A v) * v )

A mixture weights all the experts in its sight and, by a self gate, its own ones again, so that these learn
whatever the first gate does (s is softmax; sigmoid for a single expert):

    M(v; own, sight) = sum_{i in sight} softmax(W v)_i E_i  +  sum_{i in own} s(U v)_i E_i

The hierarchy mask makes two levels of mixtures; v is the embedded fields, T are the experts of the second
level:

    z_s = M(v; E_s, [E_s, all E_g]),    z_g = M(v; E_g, [E_g, E_s])                             meta level
    y_k = t^k( M([z_g, z_s]; T_k, [T_k, T_g, T_s]) ),    T_k and T_g read [z_g, z_s], T_s z_s   task level

Departs from the paper, of which we had only the abstract and others' accounts: how the levels read each other
is our interpretation. One feature gate of one rank per expert. Norm and activation are the tool's, `layer`
and `relu`, as in the models it is compared with, so that a gain does not come from an activation. The paper
uses batch normalisation and Swish to prevent nearly all units of an expert from being 0: `norm = batch`,
`activation = silu`. Gates are linear. By default, `groups` is one group of all tasks: the paper groups tasks
by their kind (watching, interacting), which has not been done for our datasets.

Pitfalls: the groups are a researcher's degree of freedom: if you try several, you have tuned the method and
must report how many. The largest of the expert methods, two levels times tasks times experts: compare it with
single-task-wide. The self gate adds to the mixture, so the first gate's shares do not show all that a task
reads. With few tasks there is nothing for groups to tell apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from mtlbench.errors import UsageError, unknown
from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.experts import mixture
from mtlbench.methods.features import Features
from mtlbench.methods.layers import Linear, mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class HoMEConfig(NetworkConfig):
    """Options of HoME; `network` is the shape of each expert, at both levels.

    Attributes:
        num_experts: experts per level of each task, of each group, and of all tasks together.
        rank: rank of each expert's feature gate.
        groups: names of the tasks in each group, every task once; empty for one group of all.
    """

    num_experts: int = 2
    rank: int = 4
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if min(self.num_experts, self.rank) < 1:
            raise ValueError(f"num_experts = {self.num_experts}, rank = {self.rank}; at least 1 of each")


class HoME(Method):
    """Experts of each task, of each group and of all tasks, in two levels."""

    Config = HoMEConfig
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: HoMEConfig) -> None:
        super().__init__(spec, tasks, config)
        self.group_of = grouped(config.groups, self.tasks)
        self.features = Features(spec, config)
        groups, n, dim = range(max(self.group_of.values()) + 1), config.num_experts, config.network[-1]

        width = self.features.width
        self.meta_shared = Experts(width, config)
        self.meta_groups = nn.ModuleList(Experts(width, config) for _ in groups)
        self.shared_mixture = Mixture(width, own=n, sight=(len(groups) + 1) * n)
        self.group_mixtures = nn.ModuleList(Mixture(width, own=n, sight=2 * n) for _ in groups)

        self.task_shared = Experts(dim, config)
        self.task_groups = nn.ModuleList(Experts(2 * dim, config) for _ in groups)
        self.task_own = nn.ModuleDict({k: Experts(2 * dim, config) for k in self.tasks})
        self.task_mixtures = nn.ModuleDict({k: Mixture(2 * dim, own=n, sight=3 * n) for k in self.tasks})
        self.towers = nn.ModuleDict({k: mlp(dim, config.tower, config, outputs=1) for k in self.tasks})

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        z_shared, z = self._meta(inputs)
        shared = self.task_shared(z_shared)
        groups = [experts(z_group) for experts, z_group in zip(self.task_groups, z, strict=True)]
        outputs = {}
        for task, g in self.group_of.items():
            own = self.task_own[task](z[g])
            mixed = self.task_mixtures[task](z[g], own, [*own, *groups[g], *shared])
            outputs[task] = self.towers[task](mixed)
        return outputs

    def _meta(self, inputs: Inputs) -> tuple[Tensor, list[Tensor]]:
        """Compute z_s, and [z_g, z_s] of each group."""
        v = self.features(inputs)
        shared, groups = self.meta_shared(v), [experts(v) for experts in self.meta_groups]
        z_shared = self.shared_mixture(v, shared, [*shared, *chain(*groups)])
        z = [fusion(v, own, [*own, *shared]) for fusion, own in zip(self.group_mixtures, groups, strict=True)]
        return z_shared, [torch.cat([z_group, z_shared], dim=1) for z_group in z]

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return each task's first gate over the task level's experts: of each task, each group, and all."""
        _, z = self._meta(inputs)
        shares = {}
        for task, g in self.group_of.items():
            gate = self.task_mixtures[task].get_submodule("gate")
            own, group, shared = gate(z[g]).softmax(dim=-1).chunk(3, dim=-1)
            none = torch.full_like(own, torch.nan)
            tasks = [own if k == task else none for k in self.tasks]
            groups = [group if i == g else none for i in range(len(z))]
            shares[task] = torch.cat([*tasks, *groups, shared], dim=-1)
        return shares


class Experts(nn.ModuleList):
    """Experts of one owner, side by side."""

    def __init__(self, input_dim: int, config: HoMEConfig) -> None:
        super().__init__(Expert(input_dim, config) for _ in range(config.num_experts))

    def forward(self, v: Tensor) -> list[Tensor]:
        """Map (batch, input_dim) to one (batch, expert_dim) per expert."""
        return [expert(v) for expert in self]


class Expert(nn.Module):
    """A network behind its feature gate."""

    def __init__(self, input_dim: int, config: HoMEConfig) -> None:
        super().__init__()
        self.down = nn.Linear(input_dim, config.rank, bias=False)  # A
        self.up = nn.Linear(config.rank, input_dim, bias=False)  # B
        self.network = mlp(input_dim, config.network, config)

    def forward(self, v: Tensor) -> Tensor:
        """Map (batch, input_dim) to (batch, expert_dim)."""
        result: Tensor = self.network(2 * self.up(self.down(v)).sigmoid() * v)
        return result


class Mixture(nn.Module):
    """A gate over all experts in sight, and a self gate over its own experts."""

    def __init__(self, input_dim: int, *, own: int, sight: int) -> None:
        super().__init__()
        self.gate = Linear(input_dim, sight, bias=False)
        self.self_gate = Linear(input_dim, own, bias=False)

    def forward(self, v: Tensor, own: Sequence[Tensor], sight: Sequence[Tensor]) -> Tensor:
        """Map the gates' input (batch, input_dim) and the experts, (batch, dim) each, to (batch, dim)."""
        logits = self.self_gate(v)
        again = logits.sigmoid() if logits.shape[-1] == 1 else logits.softmax(dim=-1)
        gate = self.gate(v).softmax(dim=-1)
        return mixture(gate, sight) + mixture(again, own)


def grouped(groups: Sequence[Sequence[str]], tasks: Sequence[str]) -> dict[str, int]:
    """Map each task to the number of its group, in the order of `tasks`.

    Raises:
        UsageError: a name is not a task, occurs twice, or is missing.
    """
    chosen = [list(group) for group in groups if group] or [list(tasks)]
    named = [name for group in chosen for name in group]
    for name in named:
        if name not in tasks:
            raise unknown("task in groups:", name, tasks)
        if named.count(name) > 1:
            raise UsageError(f"groups: {name} is there {named.count(name)} times; name every task once.")
    if missing := [name for name in tasks if name not in named]:
        raise UsageError(f"groups: {', '.join(missing)}: in none; name every task once.")
    return {task: g for task in tasks for g, group in enumerate(chosen) if task in group}
