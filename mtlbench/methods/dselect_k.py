"""DSelect-k: MMoE whose gates select at most k experts, differentiably.

Hazimeh et al., "DSelect-k: Differentiable Selection in the Mixture of Experts with Applications to Multi-Task
Learning", NeurIPS 2021, section 2. https://arxiv.org/abs/2106.03760

A gate has k selectors. Selector s encodes the number of one of n = 2^m experts in m bits, each smoothed by
the smooth-step S, and r is the share that the bits leave to each expert; a softmax weights the selectors:

    g(x) = sum_s softmax(a)_s r(S(z_s)),    r(b)_i = prod_{j: bit j of i is 1} b_j prod_{j: it is 0} (1 - b_j)
    S(t) = 0 up to -gamma/2,    -2 t^3/gamma^3 + 3 t/(2 gamma) + 1/2,    1 from gamma/2 on
    y_k  = h^k( sum_i g^k(x)_i f_i(x) )

with a = A x + c and z_s = W_s x + d_s for each row (`per_example`), or a = c and z_s = d_s (static). Bits
reach 0 and 1 at finite z, and so do shares; an entropy penalty drives each selector to one expert:

    L + lambda sum over tasks and selectors of the mean over rows of H(r(S(z_s)))

Departs from the paper: x is the concatenated field embeddings, which all tasks share; the entropy is averaged
over the batch, where its authors' code sums it, so that lambda means the same at any batch size; the number
of experts must be a power of two (that code keeps bit patterns without an expert, so that shares may not sum
to 1, and adds a penalty against it); all experts are computed, even those of share 0; experts are normalised.
The biases c and d and the small starting values, at which all experts have nearly the same share, are those
of that code. lambda = 0.001 is ours and should be tuned.

Pitfalls: a bit beyond +-gamma/2 has no gradient from losses or entropy, so that a row's own loss can no
longer change the row's choice. A static choice is then final only without weight decay: with it
(`weight_decay`, L2 in Adam's gradient, on by default) only the decay moves z, which Adam turns into full
steps towards 0, until the bit is back in the range and may settle differently. With lambda too high, bits
settle before the experts differ; with lambda too low, more than k experts stay in use. Two selectors may
choose the same expert. Zero shares save no time here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.experts import Experts, mixture
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class DSelectKConfig(NetworkConfig):
    """Options of DSelect-k; `network` is the shape of each expert.

    Attributes:
        num_experts: n, experts that all tasks share; a power of two.
        num_selected: k, the largest number of experts that a task uses.
        gamma: width of the range where a bit is neither 0 nor 1.
        entropy: lambda, the weight of the selectors' entropy.
        per_example: whether a gate chooses per row, or once for all rows.
    """

    num_experts: int = 4
    num_selected: int = 2
    gamma: float = 1.0
    entropy: float = 0.001
    per_example: bool = True

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        n, k = self.num_experts, self.num_selected
        if n < 2 or n & (n - 1):
            raise ValueError(f"num_experts = {n}; a power of two, at least 2, since experts are told by bits")
        if not 1 <= k <= n:
            raise ValueError(f"num_selected = {k}; at least 1, and at most num_experts = {n}")
        if not (0 < self.gamma < inf and 0 <= self.entropy < inf):
            raise ValueError(
                f"gamma = {self.gamma}, entropy = {self.entropy}; gamma above 0, entropy not below"
            )


class DSelectK(Method):
    """Shared experts; per task a gate of k selectors, and a tower."""

    Config = DSelectKConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: DSelectKConfig) -> None:
        super().__init__(spec, tasks, config)
        self.entropy = config.entropy
        self.features = Features(spec, config)
        input_dim, n = self.features.width, config.num_experts
        self.experts = Experts(n, input_dim, config)
        self.gates = nn.ModuleDict({k: Selectors(input_dim, config) for k in self.tasks})
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        experts = self.experts(x)
        outputs = {}
        for task, tower in self.towers.items():
            outputs[task] = tower(mixture(mixed(*self.gates[task](x)), experts))
        return outputs

    def penalty(self, inputs: Inputs) -> Tensor:
        """Return lambda times the entropy of all selectors, averaged over the rows."""
        x, total = self.features(inputs), inputs.numeric.new_zeros(())
        for gate in self.gates.values():
            _, chosen = gate(x)
            total = total - (chosen * (chosen + 1e-6).log()).sum(dim=(1, 2)).mean()
        return self.entropy * total

    def gate_shares(self, inputs: Inputs) -> dict[str, Tensor]:
        """Return the gate of each task, (batch, expert)."""
        x = self.features(inputs)
        return {task: mixed(*gate(x)) for task, gate in self.gates.items()}


class Selectors(nn.Module):
    """The gate of a task: the weights of its selectors, (batch, selector), and the choice of each."""

    def __init__(self, input_dim: int, config: DSelectKConfig) -> None:
        super().__init__()
        self.gamma, self.selectors = config.gamma, config.num_selected
        self.bits = config.num_experts.bit_length() - 1
        linear = nn.Linear if config.per_example else Constant
        self.a, self.z = linear(input_dim, self.selectors), linear(input_dim, self.selectors * self.bits)
        for layer, bound in ((self.a, 0.05), (self.z, config.gamma / 100)):
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, input_dim) to weights (batch, selector) and choices (batch, selector, expert)."""
        z = self.z(x).unflatten(-1, (self.selectors, self.bits))
        bits = smooth_step(z, self.gamma)  # (batch, selector, bit)
        chosen = torch.ones_like(bits[..., :1])
        for j in range(self.bits):  # each bit doubles the number of experts told apart
            bit = bits[..., j : j + 1]
            chosen = torch.cat([chosen * (1 - bit), chosen * bit], dim=-1)
        return self.a(x).softmax(dim=-1), chosen


class Constant(nn.Module):
    """A linear layer without weights: the same bias for every row."""

    def __init__(self, input_dim: int, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the bias, (batch, outputs)."""
        return self.bias.expand(x.shape[0], -1)


def smooth_step(t: Tensor, gamma: float) -> Tensor:
    """Rise smoothly from 0 at -gamma/2 to 1 at gamma/2; exactly 0 and 1 beyond."""
    t = (t / gamma).clamp(-0.5, 0.5)
    return -2 * t**3 + 1.5 * t + 0.5


def mixed(weights: Tensor, chosen: Tensor) -> Tensor:
    """Combine selectors' choices by their weights (batch, selector) to shares (batch, expert)."""
    return torch.einsum("bs,bse->be", weights, chosen)
