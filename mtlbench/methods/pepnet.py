"""PEPNet: Parameter and Embedding Personalized Network.

Chang et al., "PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior
Information", KDD 2023. https://arxiv.org/abs/2302.01115

A gate neural unit outputs factors between 0 and 2, gate(u) = 2 sigmoid(W' act(W u + b) + b'). With x the
embedded fields, p those that are priors, sg the stopped gradient, and f^k_1 ... f^k_L the hidden layers of
task k's own network:

    h^k_0 = gate_0([p, sg(x)]) * x                                  EPNet: the embedding, for all tasks alike
    h^k_l = gate_l([p, sg(h_0)])_k * f^k_l(h^k_{l-1})               PPNet: the units, per task and layer
    y_k = w^k h^k_L + b^k

One gate unit per layer serves all tasks (its last layer has a row for each unit of each task), and the
embedding is shared; each task has its own network. Where all gates are 1 it is embedding-sharing.

Departs from the paper: the paper has several domains, and feeds EPNet with the fields that describe the
domain; our data names no domain, so both get PPNet's priors: the categorical fields that describe the user or
the item (`of` in the data card; the paper's also describe the author), or all categorical fields if none
does. EPNet scales the numeric columns too. A gate's hidden layer is as wide as its output (our choice) and
has the network's activation where the paper has ReLU. Layers are normalised before they are scaled. The
layers are `network` and then `tower`.

Pitfalls: user and item ids feed every gate, so it memorises: rows of new users or items are scaled by
untrained gates, and ids seen once overfit. The gates of the units hold most of the parameters (tasks
times widths squared). A data card that leaves `of` empty changes what the gates see.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import Output, mlp
from mtlbench.schema import Task

PRIORS = ("user", "item")
"""Entities that a field must describe to be a prior."""
SCALE = 2.0
"""The largest factor of a gate (gamma in the paper); gates start at half of it, 1."""


class PEPNet(Method):
    """One network per task, its input and units scaled by gates that know user and item."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        everything = list(range(len(spec.categorical)))
        self.priors = [i for i in everything if spec.categorical[i].of in PRIORS] or everything
        width, dims = self.features.width, (*config.network, *config.tower)
        gate_input = len(self.priors) * config.embedding_dim + width
        self.embedding_gate = GateUnit(gate_input, width, config)
        self.unit_gates = nn.ModuleList(GateUnit(gate_input, dim * len(self.tasks), config) for dim in dims)

        def network() -> nn.ModuleList:
            return nn.ModuleList(mlp(i, (o,), config) for i, o in zip((width, *dims), dims, strict=False))

        self.networks = nn.ModuleDict({k: network() for k in self.tasks})
        self.heads = nn.ModuleDict({k: Output(dims[-1], 1) for k in self.tasks})

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        fields = inputs.categorical[0]
        # Field by field: a list as an index is a tensor that a GPU would wait for.
        prior = torch.cat([fields[:, :0].flatten(start_dim=1), *(fields[:, i] for i in self.priors)], dim=1)
        embedding = self.embedding_gate(torch.cat([prior, x.detach()], dim=1)) * x
        known = torch.cat([prior, embedding.detach()], dim=1)
        gates = [gate(known).chunk(len(self.tasks), dim=1) for gate in self.unit_gates]  # layer, task
        outputs = {}
        for k, (task, network) in enumerate(self.networks.items()):
            h = embedding
            for layer, gate in zip(network.children(), gates, strict=True):
                h = gate[k] * layer(h)
            outputs[task] = self.heads[task](h)
        return outputs


class GateUnit(nn.Module):
    """Gate NU: maps prior information to factors between 0 and `SCALE`."""

    def __init__(self, input_dim: int, output_dim: int, config: NetworkConfig) -> None:
        super().__init__()
        self.unit = mlp(input_dim, (output_dim,), config, outputs=output_dim, bare=True)

    def forward(self, known: Tensor) -> Tensor:
        """Map (batch, input_dim) to factors (batch, output_dim)."""
        factors: Tensor = SCALE * self.unit(known).sigmoid()
        return factors
