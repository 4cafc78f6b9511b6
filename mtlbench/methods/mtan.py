"""MTAN: Multi-Task Attention Network. One network, with an attention mask per task on every layer.

Liu, Johns and Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, section 3.2, equations (1)
and (2). https://doi.org/10.1109/CVPR.2019.00197

p^l is the output of layer l of the shared network. For task k:

    ph_k^l = a_k^l * p^l,    a_k^l = sigmoid( h_k^l( g_k^l( [p^l, ph_k^(l-1)] ) ) )

The first mask sees only p^1; the last ph_k goes into the task's tower. With all masks at 1 it is
`hard-sharing`.

Departs from the paper, which is about convolutions: g is a hidden layer of the shared layer's width and h a
linear layer, in place of its 1x1 convolutions with batch normalisation. A block of the paper has two shared
layers; its mask sees the first and masks the second. Here a block is one layer, and its mask sees the layer
that it masks. The paper's f, a convolution of the masked features before the next mask, is merged into g.

Pitfalls: masks can only scale: they cannot find features that no task has brought into the shared network.
They start half open, at about 1/2, and may stay near that: check how they differ between tasks before
believing that they select. With wide layers they are most of the parameters: three times a shared layer's
width squared, per task.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


class MTAN(Method):
    """A shared network; per task one mask for each layer, and a tower."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        dims = (self.features.width, *config.network)
        self.shared = nn.ModuleList(mlp(i, (o,), config) for i, o in pairwise(dims))
        self.attention = nn.ModuleDict({k: Attention(config) for k in self.tasks})
        self.towers = nn.ModuleDict(
            {k: mlp(config.network[-1], config.tower, config, outputs=1) for k in self.tasks}
        )

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x, shared = self.features(inputs), []
        for layer in self.shared:
            x = layer(x)
            shared.append(x)
        return {task: tower(self.attention[task](shared)) for task, tower in self.towers.items()}


class Attention(nn.Module):
    """One task's masks on the layers of the shared network."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.masks = nn.ModuleList(
            mlp(before + width, (width,), config, outputs=width)
            for before, width in pairwise((0, *config.network))
        )

    def forward(self, shared: Sequence[Tensor]) -> Tensor:
        """Map the outputs of the shared layers, (batch, width) each, to the masked last one."""
        masked = shared[0][:, :0]  # no masked layer comes before the first
        for p, mask in zip(shared, self.masks, strict=True):
            masked = mask(torch.cat([p, masked], dim=1)).sigmoid() * p
        return masked
