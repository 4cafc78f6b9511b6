"""MMoE: Multi-gate Mixture-of-Experts.

Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018,
section 4.2. https://doi.org/10.1145/3219819.3220007

For task k, with experts f_i, gate g^k and tower h^k:

    y_k = h^k( sum_i g^k(x)_i f_i(x) ),    g^k(x) = softmax(W_gk x)

Departs from the paper: x is the concatenated field embeddings, which all tasks share; experts are normalised.
The paper's synthetic experiments use 8 experts of one layer of 16; the defaults are the tool's small ones.

Pitfalls: gates collapse on one expert or become alike, experts die (a ReLU that is 0 on all rows) or
starve; check gate entropy, gate similarity and dead units with `mtlbench inspect`. More experts are more
parameters: compare it with `single-task-wide`.
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
class MMoEConfig(NetworkConfig):
    """Options of MMoE; `network` is the shape of each expert.

    Attributes:
        num_experts: experts that all tasks share.
    """

    num_experts: int = 4

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if self.num_experts < 1:
            raise ValueError(f"num_experts = {self.num_experts}; at least 1")


class MMoE(Method):
    """Shared experts, one gate and one tower per task."""

    Config = MMoEConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: MMoEConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        input_dim, n = self.features.width, config.num_experts
        self.experts = Experts(n, input_dim, config)
        self.gates = nn.ModuleDict({k: Linear(input_dim, n, bias=False) for k in self.tasks})
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        experts = self.experts(x)
        outputs = {}
        for task, tower in self.towers.items():
            gate = self.gates[task](x).softmax(dim=-1)  # (batch, expert)
            outputs[task] = tower(mixture(gate, experts))
        return outputs

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return the gate of each task, (batch, expert)."""
        x = self.features(inputs)
        return {task: gate(x).softmax(dim=-1) for task, gate in self.gates.items()}
