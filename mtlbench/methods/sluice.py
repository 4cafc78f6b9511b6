"""Sluice networks: cross-stitch between subspaces of layers, and a learned mix of layers.

Ruder et al., "Latent Multi-Task Architecture Learning", AAAI 2019, figure 1 and the equations beside it.
https://doi.org/10.1609/aaai.v33i01.33014822

Layer l of task k's network is split into subspaces h_ks^l. With alpha^l over all pairs of (task, subspace),
beta over layers, and G_ks^l the weights that lead into a subspace:

    ht_ks^l = sum_j sum_t alpha_ks,jt^l h_jt^l
    y_k     = tower_k( sum_l beta_kl P_kl ht_k^l )
    L       = sum_k L_k + lambda sum_k sum_l sum_{s<t} || G_ks^l (G_kt^l)^T ||_F^2

ht_k^l goes into the next layer of task k. alpha starts at `own_share` on the diagonal, beta at .9 on the last
layer; their rows then sum to 1. With one subspace and beta only on the last layer it is `cross-stitch`.

Departs from the paper: MLPs instead of LSTMs. The paper's layers all have the same width; here a layer that
differs in width from the last is mapped to it by a linear map P_kl (else P is the identity), and widths are
rounded up to whole subspaces. At the start, alpha in the authors' code prefers one subspace of all tasks as a
source, in ours each subspace itself. Networks of all tasks start from the same draw, and drop the same units.

Pitfalls: many parameters for little data: alpha has (tasks * subspaces)^2 values per layer. Where a layer is
followed by a norm (`norm = layer`), small weights satisfy the penalty as well as orthogonal ones. Subspaces
of one network mean different things from the start, so that mixing across them only hurts until the layer
above has adapted. Whatever beta puts on lower layers takes gradient from the upper ones.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import inf

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.cross_stitch import alone, near_identity
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task

LAST_LAYER = 0.9
"""Beta of the last layer at the start, as in the authors' code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SluiceConfig(NetworkConfig):
    """Options of sluice networks; the paper has two subspaces, the other defaults are ours.

    Attributes:
        subspaces: parts that each layer of `network` is split into; widths are rounded up to whole parts.
        own_share: alpha of a subspace itself at the start; the others share the rest.
        orthogonality: lambda, the weight of the penalty between subspaces.
    """

    subspaces: int = 2
    own_share: float = 0.9
    orthogonality: float = 0.01

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if self.subspaces < 1:
            raise ValueError(f"subspaces = {self.subspaces}; at least 1")
        if not 0 <= self.own_share <= 1:
            raise ValueError(f"own_share = {self.own_share}; a share in [0, 1]")
        if not 0 <= self.orthogonality < inf:
            raise ValueError(f"orthogonality = {self.orthogonality}; at least 0")


class Sluice(Method):
    """One network and tower per task; alpha mixes subspaces after each layer, beta the layers at the end."""

    Config = SluiceConfig
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: SluiceConfig) -> None:
        super().__init__(spec, tasks, config)
        self.orthogonality = config.orthogonality
        features, parts = Features(spec, config), config.subspaces
        widths = [-(-width // parts) * parts for width in config.network]
        layers = [mlp(i, (o,), config) for i, o in pairwise((features.width, *widths))]
        tower, mix = mlp(widths[-1], config.tower, config, outputs=1), LayerMix(widths)
        self.features = nn.ModuleDict({k: deepcopy(features) for k in self.tasks})
        self.sluices = nn.ModuleList(SluiceLayer(f, len(self.tasks), config) for f in layers)
        self.mixes = nn.ModuleDict({k: deepcopy(mix) for k in self.tasks})
        self.towers = nn.ModuleDict({k: deepcopy(tower) for k in self.tasks})

    def dropout_key(self, name: str) -> str:
        """Return the layer's name in the single-task model of its task."""
        return alone(name)

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        hidden, layers = torch.stack([features(inputs) for features in self.features.values()], dim=1), []
        for sluice in self.sluices:
            hidden = sluice(hidden)  # (batch, task, width)
            layers.append(hidden)
        return {
            task: tower(self.mixes[task]([layer[:, k] for layer in layers]))
            for k, (task, tower) in enumerate(self.towers.items())
        }

    def penalty(self, inputs: Inputs) -> Tensor:
        """Return lambda times the overlap of the subspaces' input weights, summed over layers."""
        overlaps = [layer.overlap() for layer in self.sluices if isinstance(layer, SluiceLayer)]
        return self.orthogonality * torch.stack(overlaps).sum()

    def task_matrices(self) -> dict[str, Tensor]:
        """Return alpha of each layer, one matrix per pair of subspaces: row k holds what task k takes."""
        return {
            f"layer {n}, subspace {s + 1} from {t + 1}": layer.alpha[:, s, :, t]
            for n, layer in enumerate(self.sluices, start=1)
            if isinstance(layer, SluiceLayer)
            for s in range(layer.subspaces)
            for t in range(layer.subspaces)
        }


class SluiceLayer(nn.Module):
    """One layer of all tasks' networks, split into subspaces that alpha mixes."""

    def __init__(self, layer: nn.Module, tasks: int, config: SluiceConfig) -> None:
        super().__init__()
        self.subspaces = config.subspaces
        self.layers = nn.ModuleList(deepcopy(layer) for _ in range(tasks))
        alpha = near_identity(tasks * self.subspaces, config.own_share)
        self.alpha = nn.Parameter(alpha.view(tasks, self.subspaces, tasks, self.subspaces))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, task, width) to (batch, task, width of the layer)."""
        apart = torch.stack([layer(x[:, k]) for k, layer in enumerate(self.layers)], dim=1)
        parts = apart.reshape(*apart.shape[:2], self.subspaces, -1)  # (batch, task, subspace, dim)
        return torch.einsum("ksjt,bjtd->bksd", self.alpha, parts).flatten(start_dim=2)

    def overlap(self) -> Tensor:
        """Sum || G_s G_t^T ||_F^2 over tasks and pairs of subspaces."""
        weights = torch.stack([dict(layer.named_parameters())["0.weight"] for layer in self.layers])
        tasks, width, inputs = weights.shape
        g = weights.reshape(tasks, self.subspaces, width // self.subspaces, inputs)
        overlap = weights.new_zeros(())
        for s, t in combinations(range(self.subspaces), 2):
            overlap = overlap + (g[:, s] @ g[:, t].mT).square().sum()
        return overlap


class LayerMix(nn.Module):
    """A task's layers, mapped to the width of the last and summed by beta."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        last = widths[-1]
        self.beta = nn.Parameter(near_identity(len(widths), LAST_LAYER)[-1])
        self.maps = nn.ModuleList(
            nn.Identity() if width == last else nn.Linear(width, last, bias=False) for width in widths
        )

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Map the layers' outputs, (batch, width) each, to (batch, width of the last)."""
        alike = torch.stack([to_last(x) for to_last, x in zip(self.maps, layers, strict=True)])
        return torch.einsum("l,lbd->bd", self.beta, alike)
