"""Cross-stitch networks: one network per task, their layers mixed by learned matrices.

Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, section 3, equation (1).
https://doi.org/10.1109/CVPR.2016.433

After each hidden layer l, with x_j^l the output of that layer in task j's network:

    xt_k^l = sum_j alpha_kj^l x_j^l

xt_k^l goes into the next layer of task k, the last one into its tower. Alpha starts with `own_share` on the
diagonal and rows that sum to 1, which keeps the scale of the activations. At alpha = identity it is
`embedding-sharing`.

Departs from the paper: x^1 is a function of the concatenated field embeddings, which all tasks share;
networks of any number of tasks; one alpha for all units of a layer. The paper trains alpha at a higher
learning rate; here its rate is that of all weights, since Adam's steps do not depend on the scale of a
gradient. The paper's networks start from models trained on one task; ours start untrained, but also from the
same draw (that of the single-task models of the seed), and drop the same units: alpha can mix only units with
the same meaning.

Pitfalls: all networks start equal, so that alpha changes nothing until the tasks have moved apart; in short
runs it hardly leaves its start. Nothing keeps alpha a mean: rows may grow, shrink or turn negative, and with
a norm in each layer their scale means little. It costs one network per task, as `single-task` does.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossStitchConfig(NetworkConfig):
    """Options of cross-stitch networks.

    Attributes:
        own_share: alpha of a task's own layer at the start; the others share the rest.
    """

    own_share: float = 0.9

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if not 0 <= self.own_share <= 1:
            raise ValueError(f"own_share = {self.own_share}; a share in [0, 1]")


class CrossStitch(Method):
    """One network and tower per task, with a cross-stitch unit after each layer."""

    Config = CrossStitchConfig
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: CrossStitchConfig) -> None:
        super().__init__(spec, tasks, config)
        features = Features(spec, config)
        layers = [mlp(i, (o,), config) for i, o in pairwise((features.width, *config.network))]
        tower = mlp(config.network[-1], config.tower, config, outputs=1)
        self.features = nn.ModuleDict({k: deepcopy(features) for k in self.tasks})
        self.stitched = nn.ModuleList(Stitched(f, len(self.tasks), config.own_share) for f in layers)
        self.towers = nn.ModuleDict({k: deepcopy(tower) for k in self.tasks})

    def dropout_key(self, name: str) -> str:
        """Return the layer's name in the single-task model of its task."""
        return alone(name)

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        hidden = torch.stack([features(inputs) for features in self.features.values()], dim=1)
        for layer in self.stitched:
            hidden = layer(hidden)  # (batch, task, width)
        return {task: tower(hidden[:, k]) for k, (task, tower) in enumerate(self.towers.items())}

    def task_matrices(self) -> dict[str, Tensor]:
        """Return alpha of each layer: row k holds what task k takes."""
        layers = enumerate(self.stitched, start=1)
        return {f"layer {n}": layer.alpha for n, layer in layers if isinstance(layer, Stitched)}


class Stitched(nn.Module):
    """One layer of all tasks' networks, and the cross-stitch unit above it."""

    def __init__(self, layer: nn.Module, tasks: int, own_share: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(deepcopy(layer) for _ in range(tasks))
        self.alpha = nn.Parameter(near_identity(tasks, own_share))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, task, width) to (batch, task, width of the layer)."""
        apart = torch.stack([layer(x[:, k]) for k, layer in enumerate(self.layers)], dim=1)
        return torch.einsum("kj,bjd->bkd", self.alpha, apart)


def alone(name: str) -> str:
    """Return the name of a task's dropout layer in the single-task model of that task."""
    part, *where, last = name.split(".")
    if part == "towers":
        return f"towers.own.{last}"
    layer, modules = int(where[0]), int(last) + 1  # dropout is the last of a layer's modules
    return f"bottom.{(layer + 1) * modules - 1}"


def near_identity(size: int, own_share: float) -> Tensor:
    """Return a square matrix with `own_share` on the diagonal whose rows sum to 1."""
    if size == 1:
        return torch.ones(1, 1)
    rest = (1 - own_share) / (size - 1)
    return torch.full((size, size), rest).fill_diagonal_(own_share)
