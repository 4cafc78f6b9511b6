"""Group lasso: one network per task, their inputs chosen together by an L2,1 penalty.

Argyriou, Evgeniou and Pontil, "Multi-Task Feature Learning", NIPS 19, 2007, section 2; without its rotation
of the features it is the block penalty of Obozinski, Taskar and Jordan, "Joint covariate selection and joint
subspace selection for multiple classification problems", Statistics and Computing 20, 2010.
https://doi.org/10.1007/s11222-008-9111-x

    L = sum_k L_k + lambda sum_i sqrt( sum_k sum_u (W^k_ui)^2 )

W^k_ui leads from input i to unit u of the first layer of task k's network. All weights of an input, over all
tasks, form one group: an input is either kept for some task or dropped by all of them. For networks instead
of linear models the group holds an input's weights to every unit, as in Scardapane et al., "Group sparse
regularization for deep neural networks", Neurocomputing 241, 2017.
https://doi.org/10.1016/j.neucom.2017.02.029

At lambda = 0 it is `embedding-sharing`. All tasks start from the same draw of weights.

Departs from the papers: networks instead of linear models; one embedding table for all tasks below them.
Argyriou et al. square the sum and learn an orthogonal rotation of the features, whose role the embeddings
take here. Groups are not weighted by their size (all have the same). The root is smoothed near 0, and
gradient steps make a group small, not exactly 0: look for inputs whose weights are far below the others'.

Pitfalls: an input is one dimension of an embedding or one number, so that a field is dropped one dimension at
a time. Embeddings may grow as their weights shrink, which evades the penalty; numeric fields cannot. With
`interaction = cross` an input of the network is a crossed feature, which holds all fields: a dropped input is
then not tied to a field (with `fm`, the pooled products are inputs beside the fields). With `norm = layer`
the first layer's scale is free: then only the shares of the inputs matter, and weak penalties do nothing but
shrink.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from mtlbench.methods.base import Inputs, InputSpec, NetworkConfig
from mtlbench.methods.embedding_sharing import EmbeddingSharing
from mtlbench.schema import Task

EPSILON = 1e-8
"""Added under the root, so that a group of zeros has a gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLassoConfig(NetworkConfig):
    """Options of the group lasso; the default is ours.

    Attributes:
        strength: lambda, the weight of the penalty.
    """

    strength: float = 0.001

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if not 0 <= self.strength < inf:
            raise ValueError(f"strength = {self.strength}; at least 0")


class GroupLasso(EmbeddingSharing):
    """Embedding sharing, with the inputs of its networks chosen together by `penalty`."""

    Config = GroupLassoConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: GroupLassoConfig) -> None:
        super().__init__(spec, tasks, config)
        self.strength = config.strength

    def penalty(self, inputs: Inputs) -> Tensor:
        """Return lambda times the sum over inputs of the norm of all their weights."""
        first = [dict(model.named_parameters())["bottom.0.weight"] for model in self.models.values()]
        squares = torch.stack(tuple(first)).square().sum(dim=(0, 1))  # (input,)
        return self.strength * (squares + EPSILON).sqrt().sum()
