"""Pooling and feature interactions: from the fields of a batch to one input vector per row.

Shared by all methods, so that `pooling` and `interaction` mean the same in each. With the defaults nothing is
learned here: fields are concatenated and sequences averaged.
"""

import torch
from torch import Tensor, nn

from mtlbench.errors import UsageError
from mtlbench.methods.base import Inputs, InputSpec, NetworkConfig
from mtlbench.methods.joined import join
from mtlbench.methods.layers import mlp
from mtlbench.schema import Field

ATTENTION_WIDTH = 36
"""Hidden units of DIN's activation unit, as in figure 2 of its paper."""


class Features(nn.Module):
    """Concatenation of all fields, with their interactions.

    cross   x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, stacked below the network. Wang et al., "DCN V2: Improved
            Deep & Cross Network", WWW 2021, section 3. https://doi.org/10.1145/3442381.3450078
    fm      1/2 ((sum_i v_i)^2 - sum_i v_i^2) beside x, v_i the embedded fields: the pairwise terms of
            Rendle, "Factorization Machines", ICDM 2010, one value per dimension as in He and Chua, "Neural
            Factorization Machines", SIGIR 2017, section 3.1. Without embedded fields there are none.

    Attributes:
        width: width of the output.
    """

    def __init__(self, spec: InputSpec, config: NetworkConfig) -> None:
        super().__init__()
        fields, dim = len(spec.categorical) + len(spec.sequences), config.embedding_dim
        self.width = fields * dim + spec.numeric
        self.attention = nn.ModuleList()
        if config.pooling == "attention":
            self.attention.extend(TargetAttention(spec, field, config) for field in spec.sequences)
        self.crosses = nn.ModuleList()
        if config.interaction == "cross":
            self.crosses.extend(nn.Linear(self.width, self.width) for _ in range(config.cross_layers))
        self.fm = config.interaction == "fm" and fields > 0
        self.width += dim if self.fm else 0

    def forward(self, inputs: Inputs, table: int = 0) -> Tensor:
        """Map a batch to (batch, width), with ids embedded by embedding table number `table`."""
        categorical, sequence = inputs.categorical[table], inputs.sequence[table]
        pooled, start = [], 0
        for i, field in enumerate(inputs.spec.sequences):
            end = start + field.length
            past, mask = sequence[:, start:end], inputs.sequence_mask[:, start:end]
            one = self.attention[i](categorical, past, mask) if self.attention else mean(past, mask)
            pooled.append(one)
            start = end
        distinct = inputs.distinct[table] if inputs.distinct else None
        x = first = join(categorical, pooled, inputs.numeric, distinct)
        for cross in self.crosses:
            x = first * cross(x) + x
        if self.fm:
            embedded = torch.cat([categorical, *(one.unsqueeze(1) for one in pooled)], dim=1)
            pairs = (embedded.sum(dim=1).square() - embedded.square().sum(dim=1)) / 2  # (batch, dim)
            x = torch.cat([x, pairs], dim=1)
        return x


def mean(past: Tensor, mask: Tensor) -> Tensor:
    """Average the unmasked ids, 0 if there are none: (batch, dim)."""
    total = (past * mask.unsqueeze(-1)).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


class TargetAttention(nn.Module):
    """Pooling of a sequence, each id weighted by its fit to the row's own id of the same vocabulary.

    Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018, section 4.3.
    https://doi.org/10.1145/3219819.3219823

        v = sum_j a(e_j, e_t) e_j,    a = MLP([e_j, e_t, e_j - e_t, e_j * e_t])

    Weights are not normalised, as in the paper, so that their sum preserves the strength of the interest.
    Departs from the paper: difference and product replace its outer product, as in its authors' code; the
    activation is that of the network instead of Dice.
    """

    def __init__(self, spec: InputSpec, field: Field, config: NetworkConfig) -> None:
        super().__init__()
        alike = [i for i, other in enumerate(spec.categorical) if other.vocabulary == field.vocabulary]
        if not alike:
            raise UsageError(
                f"pooling = attention weighs the ids of {field.name} by the row's own {field.vocabulary}, "
                "and no field holds one. Use pooling = mean."
            )
        self.target = alike[0]
        self.unit = mlp(4 * config.embedding_dim, (ATTENTION_WIDTH,), config, outputs=1, bare=True)

    def forward(self, categorical: Tensor, past: Tensor, mask: Tensor) -> Tensor:
        """Pool `past` (batch, position, dim) by its fit to the row's fields (batch, field, dim)."""
        target = categorical[:, self.target].unsqueeze(1).expand_as(past)
        fit = self.unit(torch.cat([past, target, past - target, past * target], dim=-1))
        weighed: Tensor = fit * mask.unsqueeze(-1) * past
        return weighed.sum(dim=1)
