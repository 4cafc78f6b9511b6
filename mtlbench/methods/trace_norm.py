"""Trace norm: one network per task, of jointly low rank.

Yang and Hospedales, "Trace Norm Regularised Deep Multi-Task Learning", 2017 (ICLR workshop), section 2, in
the form of the last axis flattening. https://arxiv.org/abs/1606.04038

    L = sum_k L_k + lambda sum_l || [vec W_l^1, ..., vec W_l^K] ||_*

W_l^k is the l-th weight matrix of task k's network. The trace norm sums the singular values of the matrix
with one column per task: if few of them are large, the tasks' weights are mixtures of few networks. They are
the roots of the eigenvalues of its (task, task) Gram matrix, which are cheap. At lambda = 0 it is
`embedding-sharing`.

Departs from the paper: one embedding table for all tasks, since a table is looked up one batch at a time, and
a norm over all of it would move every id at every step. Towers and biases stay free. Networks start from the
same draw, that of the single-task models of the seed, as in soft sharing: the rank is then 1, the penalty
acts on what the tasks learn separately, and units at the same position have the same meaning. Singular values
are smoothed near 0 (their root has no gradient there), and gradient steps make them small but never 0.

Pitfalls: the penalty shrinks the weights as well as their rank. Where a norm follows each layer (`norm =
layer`), the scale of the weights is free and the shrinking costs the loss nothing, so that a strong penalty
acts as a higher learning rate. The right strength grows with the loss and falls with the number of weights:
tune it. On a GPU the eigenvalues may be computed on the host, so that each step waits for the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from mtlbench.methods.base import Inputs, InputSpec, NetworkConfig
from mtlbench.methods.embedding_sharing import EmbeddingSharing
from mtlbench.schema import Task

EPSILON = 1e-6
"""Added to squared singular values; single precision does not resolve them any better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceNormConfig(NetworkConfig):
    """Options of the trace norm; the default is ours.

    Attributes:
        strength: lambda, the weight of the penalty.
    """

    strength: float = 0.001

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if not 0 <= self.strength < inf:
            raise ValueError(f"strength = {self.strength}; at least 0")


class TraceNorm(EmbeddingSharing):
    """Embedding sharing, with the tasks' networks tied together by `penalty`."""

    Config = TraceNormConfig
    replays = False  # eigenvalues are checked on the host
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: TraceNormConfig) -> None:
        super().__init__(spec, tasks, config)
        self.strength = config.strength

    def penalty(self, inputs: Inputs) -> Tensor:
        """Return lambda times the sum of the trace norms of the layers below the towers."""
        networks = [
            [p for name, p in model.named_parameters() if p.dim() == 2 and not name.startswith("towers.")]
            for model in self.models.values()
        ]
        norms = [trace_norm(torch.stack(same).flatten(start_dim=1)) for same in zip(*networks, strict=True)]
        return self.strength * torch.stack(norms).sum()


def trace_norm(weights: Tensor) -> Tensor:
    """Sum the singular values of a matrix (task, weight), with a gradient everywhere."""
    with torch.autocast(weights.device.type, enabled=False):  # there are no eigenvalues in bf16
        squares: Tensor = torch.linalg.eigvalsh(weights @ weights.T).clamp(min=0)
    return (squares + EPSILON).sqrt().sum()
