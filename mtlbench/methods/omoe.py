"""OMoE: One-gate Mixture-of-Experts.

Jacobs et al., "Adaptive Mixtures of Local Experts", Neural Computation 3(1), 1991, with one tower per task.
https://doi.org/10.1162/neco.1991.3.1.79 Under this name it is the baseline of MMoE in Ma et al., KDD 2018,
section 4.2. https://doi.org/10.1145/3219819.3220007

For task k, with experts f_i, the one gate g and tower h^k:

    y_k = h^k( sum_i g(x)_i f_i(x) ),    g(x) = softmax(W_g x)

Any difference from MMoE is the effect of MMoE's gates, since experts and towers are the same.

Departs from the paper (Jacobs et al.): experts are trained through their mixture on the loss of the tasks,
not by a likelihood that makes them compete; x is the concatenated field embeddings, which all tasks share;
experts are normalised.

Pitfalls: all towers see one mixture, so tasks that disagree can diverge only in their towers: it is a wider
shared bottom. It has nearly as many parameters as MMoE; if it beats hard-sharing, it is by its size.
The gate may settle on one expert early; the entropy of the gate shows it.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method
from mtlbench.methods.experts import Experts, mixture
from mtlbench.methods.features import Features
from mtlbench.methods.layers import Linear, mlp
from mtlbench.methods.mmoe import MMoEConfig
from mtlbench.schema import Task


class OMoE(Method):
    """Shared experts with a shared gate, one tower per task."""

    Config = MMoEConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: MMoEConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        input_dim, n = self.features.width, config.num_experts
        self.experts = Experts(n, input_dim, config)
        self.gate = Linear(input_dim, n, bias=False)
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        mixed = mixture(self.gate(x).softmax(dim=-1), self.experts(x))
        return {task: tower(mixed) for task, tower in self.towers.items()}

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return the single gate under every task's name, (batch, expert)."""
        return dict.fromkeys(self.tasks, self.gate(self.features(inputs)).softmax(dim=-1))
