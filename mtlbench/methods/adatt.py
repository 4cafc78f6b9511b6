"""AdaTT: Adaptive Task-to-Task Fusion Network.

Li et al., "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning in Recommendations", KDD 2023,
section 3. https://doi.org/10.1145/3580305.3599769

Each level has one unit per task and an optional shared unit. A unit has native experts E_t, which read its
own output at the level below (x at the first). With E the experts of all units, a unit fuses all of them by
its gate and adds its own:

    f_t^l = AllExpertGF + NativeExpertLF = E softmax(W_t f_t^{l-1}) + E_t v_t
    y_t   = h^t( f_t^L )

v_t are learned weights, the same for every row, and 1 where a unit has one native expert. At the last level
the shared unit fuses nothing, since no level reads it. Without shared experts it is the paper's AdaTT-sp.

Departs from the paper: x is the concatenated field embeddings, which all tasks share; experts are normalised;
gates have no bias, as in MMoE (the authors' code has one); experts have the same shape at all levels. That
code learns v_t even for a unit of one expert if another unit has more. The defaults are the tool's small
networks: two levels, two experts per task and one shared.

Pitfalls: the residual does not go through the gate: the gates' shares understate how much a task takes from
its own experts, and the fused output may be larger than any expert, level by level. All tasks see all
experts, so the number of tasks counts twice, in experts and in gates; compare it with single-task-wide. The
experts of a rare task are moved by the losses of the others.
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
class AdaTTConfig(NetworkConfig):
    """Options of AdaTT; `network` is the shape of each expert, at every level.

    Attributes:
        levels: L, number of levels at which experts are fused.
        task_experts: native experts of each task, per level.
        shared_experts: native experts of the shared unit, per level; 0 for AdaTT-sp.
    """

    levels: int = 2
    task_experts: int = 2
    shared_experts: int = 1

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if self.levels < 1 or self.task_experts < 1:
            raise ValueError(
                f"levels = {self.levels}, task_experts = {self.task_experts}; at least 1 of each"
            )
        if self.shared_experts < 0:
            raise ValueError(f"shared_experts = {self.shared_experts}; at least 0")


class AdaTT(Method):
    """Levels of fusion units, and one tower per task."""

    Config = AdaTTConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: AdaTTConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        widths = [self.features.width] + [config.network[-1]] * (config.levels - 1)
        below = [Level(width, self.tasks, config, last=False) for width in widths[:-1]]
        self.below, self.last = nn.ModuleList(below), Level(widths[-1], self.tasks, config, last=True)
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        fused, _ = self.last(*self._below(inputs))
        return {task: tower(fused[task]) for task, tower in self.towers.items()}

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return each task's gate at the last level, without the residual: the first task's experts first."""
        return self.last.shares(self._below(inputs)[0])

    def _below(self, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the inputs of the last level: each task's and the shared unit's."""
        x = self.features(inputs)
        own, shared = dict.fromkeys(self.tasks, x), x
        for level in self.below:
            own, shared = level(own, shared)
        return own, shared


class Level(nn.Module):
    """Experts of all units, and their fusion in each."""

    def __init__(self, input_dim: int, tasks: Sequence[str], config: AdaTTConfig, *, last: bool) -> None:
        super().__init__()
        own, shared = config.task_experts, config.shared_experts
        everyone = own * len(tasks) + shared
        self.own = nn.ModuleDict({k: Experts(own, input_dim, config) for k in tasks})
        self.shared = Experts(shared, input_dim, config)
        self.gates = nn.ModuleDict({k: Linear(input_dim, everyone, bias=False) for k in tasks})
        self.residuals = nn.ModuleDict({k: NativeExpertLF(own) for k in tasks})
        self.shared_gate: nn.Linear | None = None  # only the next level's shared experts read its output
        if shared and not last:
            self.shared_gate = Linear(input_dim, everyone, bias=False)
            self.shared_residual = NativeExpertLF(shared)

    def forward(self, x: Mapping[str, Tensor], x_shared: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Map each task's input and the shared one, (batch, input_dim) each, to those of the next level."""
        own = {task: experts(x[task]) for task, experts in self.own.items()}
        shared = self.shared(x_shared)
        everyone = [*chain(*own.values()), *shared]
        fused = {}
        for task, gate in self.gates.items():
            fused[task] = mixture(gate(x[task]).softmax(dim=-1), everyone) + self.residuals[task](own[task])
        if self.shared_gate is not None:
            x_shared = mixture(self.shared_gate(x_shared).softmax(dim=-1), everyone)
            x_shared = x_shared + self.shared_residual(shared)
        return fused, x_shared

    def shares(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the gate of each task, (batch, expert)."""
        return {task: gate(x[task]).softmax(dim=-1) for task, gate in self.gates.items()}


class NativeExpertLF(nn.Module):
    """A unit's own experts, summed by learned weights; a single expert is passed on unchanged."""

    def __init__(self, native: int) -> None:
        super().__init__()
        bound = native**-0.5
        self.weights = nn.Parameter(torch.empty(native).uniform_(-bound, bound)) if native > 1 else None

    def forward(self, native: Sequence[Tensor]) -> Tensor:
        """Map experts, (batch, expert_dim) each, to one (batch, expert_dim)."""
        if self.weights is None:
            return native[0]
        return torch.einsum("e,ebd->bd", self.weights, torch.stack(tuple(native)))
