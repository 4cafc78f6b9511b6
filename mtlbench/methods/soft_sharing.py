"""Soft sharing: one network and embedding table per task, drawn together by an L2 penalty.

Duong et al., "Low Resource Dependency Parsing: Cross-lingual Parameter Sharing in a Neural Network Parser",
ACL 2015, section 3; in the form of the L2-Constrained baseline of Ma et al., "Modeling Task Relationships in
Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018, section 6.1.

    L = sum_k L_k(theta_k) + lambda sum_{j<k} || theta_j - theta_k ||^2

theta_k holds the network below the tower and the embeddings; towers stay free, so that lambda -> infinity is
hard sharing. At lambda = 0 it is the single-task models under one checkpoint, and drops the same units.

Departs from the paper: more than two tasks; embeddings are penalised only on the rows of the batch (averaged
over the batch), since a penalty on the whole table would move ids that no row has touched.

Pitfalls: lambda depends on the scale of the losses and of the learning rate, so a value does not carry over
from one dataset to another; K tables cost as much as single-task models do.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn

from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftSharingConfig(NetworkConfig):
    """Options of soft sharing.

    Attributes:
        strength: lambda, the weight of the penalty.
    """

    strength: float = 0.1

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if not 0 <= self.strength < inf:
            raise ValueError(f"strength = {self.strength}; at least 0")


class SoftSharing(Method):
    """One network and tower per task; `penalty` holds the networks together."""

    Config = SoftSharingConfig
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: SoftSharingConfig) -> None:
        super().__init__(spec, tasks, config)
        self.strength = config.strength
        features = Features(spec, config)
        network = mlp(features.width, config.network, config)
        tower = mlp(config.network[-1], config.tower, config, outputs=1)
        # All tasks start from the same draw: the penalty starts at 0 and acts only on what is learned.
        self.features = nn.ModuleDict({k: deepcopy(features) for k in self.tasks})
        self.networks = nn.ModuleDict({k: deepcopy(network) for k in self.tasks})
        self.towers = nn.ModuleDict({k: deepcopy(tower) for k in self.tasks})

    @classmethod
    def tables(cls, tasks: Sequence[Task]) -> int:
        """Return the number of tasks: one table each."""
        return len(tasks)

    def dropout_key(self, name: str) -> str:
        """Return the layer's name in the single-task model of its task."""
        part, _, layer = name.split(".")
        return f"bottom.{layer}" if part == "networks" else f"towers.own.{layer}"

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map each task's own embedding of the fields to its output, each (batch, 1)."""
        return {
            task: self.towers[task](self.networks[task](self.features[task](inputs, table)))
            for table, task in enumerate(self.tasks)
        }

    def penalty(self, inputs: Inputs) -> Tensor:
        """Return lambda times the squared distance of two tasks' parameters, summed over pairs of tasks."""
        rows = inputs.numeric.shape[0]
        mask = inputs.sequence_mask.unsqueeze(-1)  # (batch, position, 1)
        distance = _pairwise(torch.stack(inputs.categorical)) / rows
        distance = distance + _pairwise(torch.stack(inputs.sequence) * mask) / rows
        for parts in (self.features, self.networks):
            for same in zip(*(part.parameters() for part in parts.values()), strict=True):
                distance = distance + _pairwise(torch.stack(same))
        return self.strength * distance


def _pairwise(theta: Tensor) -> Tensor:
    """Compute sum_{j<k} ||theta_j - theta_k||^2 over the first axis, as K sum_k ||theta_k - mean||^2."""
    return theta.shape[0] * (theta - theta.mean(dim=0)).square().sum()
