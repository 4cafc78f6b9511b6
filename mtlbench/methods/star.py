"""STAR: Star Topology Adaptive Recommender.

Sheng et al., "One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction",
CIKM 2021. https://doi.org/10.1145/3459637.3481941

A domain is a task here: one task per category or channel, whose label is undefined on the rows of all
others, so that a domain's loss mask trains its weights on its own rows only. For domain k, every layer of
the network combines the centre's parameters with the domain's:

    W*_k = W_k * W,    b*_k = b_k + b                                            star topology
    gamma*_k = gamma_k * gamma,    beta*_k = beta_k + beta                       partitioned normalisation
    y_k = star_k(x) + aux([e_k, x])                                              e_k: embedding of the domain

(* is elementwise.) W_k and gamma_k start at 1, b_k and beta_k at 0 (our choice): at first all domains are
one shared network, except for the small auxiliary network, which tells them apart from the start.

Departs from the paper: its normalisation is on the network's input, with each domain's own mean and
variance; ours is that of every hidden layer, as configured, and takes its statistics from the row (norm =
layer) or from all rows of the batch (norm = batch), since a batch here holds all domains' rows; only gain
and bias, and with norm = batch the running statistics, belong to a domain. With norm = none there is no
partitioned normalisation. Layers are `network` and then `tower`; the last linear layer is a star too. The
auxiliary network has no norm: batch normalisation would cancel e_k, which is the same in all rows.

Pitfalls: meant for domains with disjoint rows; on tasks that share rows (click and buy) it runs, as one
network per task, tied by a product. It runs the network once per domain over all rows, K times the cost of
one. Weight decay pulls W_k to 0, not to 1, and with it the shared weights' effect. A domain with few rows
hardly moves W_k, and so uses the centre's network, which is shaped by the large domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mtlbench.methods.base import Inputs, InputSpec, Method, Needs, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class STARConfig(NetworkConfig):
    """Options of STAR.

    Attributes:
        auxiliary: widths of the auxiliary network's hidden layers; one width, the default, makes two layers.
    """

    auxiliary: tuple[int, ...] = (16,)

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if min(self.auxiliary, default=1) < 1:
            raise ValueError(f"auxiliary = {list(self.auxiliary)}; every width at least 1")


class STAR(Method):
    """One central network, one network per domain around it, and an auxiliary one that knows the domain."""

    Config = STARConfig
    needs = Needs(fewest=2)

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: STARConfig) -> None:
        super().__init__(spec, tasks, config)
        self.features = Features(spec, config)
        width, dims = self.features.width, (*config.network, *config.tower)
        centre = mlp(width, dims, config, outputs=1)
        self.centre = nn.ParameterDict({_key(n): p for n, p in centre.named_parameters()})
        self.domains = nn.ModuleDict({k: mlp(width, dims, config, outputs=1) for k in self.tasks})
        for name, parameter in self.domains.named_parameters():
            nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
        self.embeddings = nn.ParameterDict({k: torch.randn(config.embedding_dim) for k in self.tasks})  # e_k
        self.auxiliary = mlp(config.embedding_dim + width, config.auxiliary, config, outputs=1, bare=True)

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        outputs = {}
        for task, domain in self.domains.items():
            known = torch.cat([self.embeddings[task].expand(x.shape[0], -1), x], dim=1)
            outputs[task] = functional_call(domain, self._star(domain), (x,)) + self.auxiliary(known)
        return outputs

    def _star(self, domain: nn.Module) -> dict[str, Tensor]:
        """Compute W*_k and gamma*_k, which are products, and b*_k and beta*_k, which are sums."""
        return {
            name: own * self.centre[_key(name)] if name.endswith("weight") else own + self.centre[_key(name)]
            for name, own in domain.named_parameters()
        }


def _key(name: str) -> str:
    """Turn a parameter's name into a key of a `ParameterDict`, which allows no dots."""
    return name.replace(".", "_")
