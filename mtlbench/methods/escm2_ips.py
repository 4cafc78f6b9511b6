"""ESCM2-IPS: Entire Space Counterfactual Multi-task Model, with inverse propensity scores.

Wang et al., "ESCM2: Entire Space Counterfactual Multi-Task Model for Post-Click Conversion Rate Estimation",
SIGIR 2022. https://doi.org/10.1145/3477495.3531972 (arXiv:2204.05125)

ESMM, plus a risk that fits the conditional head itself. With o = 1 where the parent happened (else 0),
o^ = P(parent) its propensity, and delta the cross-entropy of P(child | parent) against the child's label:

    L = L_CTR + L_CTCVR + lambda_c R_IPS,    R_IPS = mean_i[ o_i delta_i / o^_i ]

A row whose parent happened stands for 1 / o^ rows: if the propensities are right, this is an unbiased
estimate of the mean over all rows, had the parent happened on each.

Departs from the paper: propensities are constants of the risk (no gradient reaches the parent's head
through them) and clipped from below, as is usual; lambda_c and the clip are ours, and the paper's weight on
L_CTCVR is left to the balancer; R_IPS is added to the child's loss and weighted with it; chains, trees and
networks as in esmm.

Pitfalls: the variance grows with 1 / o^, and clipping trades it for bias: with a rare parent a few rows have
most of the weight. The propensity is a by-product of training, far off in its first steps. Rows where a child
happens without its parent are left out of the risk, yet contradict the product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mtlbench.methods import chain
from mtlbench.methods.base import Inputs, InputSpec
from mtlbench.methods.chain import FunnelConfig
from mtlbench.methods.embedding_sharing import EmbeddingSharing
from mtlbench.methods.esmm import ESMM
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ESCM2Config(FunnelConfig):
    """Options of both ESCM2 methods.

    Attributes:
        counterfactual: lambda_c, the weight of the counterfactual risk.
        clip: smallest propensity to divide by; smaller ones are raised to it.
    """

    counterfactual: float = 0.1
    clip: float = 0.05

    def __post_init__(self) -> None:
        FunnelConfig.__post_init__(self)
        if not 0 <= self.counterfactual < inf:
            raise ValueError(f"counterfactual = {self.counterfactual}; 0 or more")
        if not 0 < self.clip <= 1:
            raise ValueError(f"clip = {self.clip}; a propensity in (0, 1]")


class ESCM2IPS(ESMM):
    """ESMM whose conditional heads are also fitted on the rows of their parents."""

    Config = ESCM2Config

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: ESCM2Config) -> None:
        super().__init__(spec, tasks, config)
        self.counterfactual, self.clip = config.counterfactual, config.clip

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map to one logit per task as in ESMM; a child has a second column, its logit given the parent."""
        logits = EmbeddingSharing.forward(self, inputs)
        outputs = self.multiplied(logits)
        beside = {child: torch.cat([outputs[child], logits[child]], dim=1) for child in self.parents}
        return {**outputs, **beside}

    def losses(self, outputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the losses of ESMM, with the counterfactual risk added to each child's."""
        labels = chain.filled(labels, self.tasks, self.parents)
        losses = super().losses(outputs, labels)
        for child, parent in self.parents.items():
            happened, label = (labels[:, self.tasks.index(task)] for task in (parent, child))
            defined = ~(happened.isnan() | label.isnan())
            propensity = outputs[parent][:, 0].sigmoid().detach().clamp(min=self.clip)
            _, given, *rest = outputs[child].unbind(dim=1)
            error = binary_cross_entropy_with_logits(given, label.nan_to_num(), reduction="none")
            each = self.risk(error, happened.nan_to_num() / propensity, *rest)  # (batch,)
            mean = (each * defined).sum() / defined.sum().clamp(min=1)
            losses[child] = losses[child] + self.counterfactual * mean
        return losses

    def risk(self, error: Tensor, weight: Tensor, *beside: Tensor) -> Tensor:
        """Return each row's contribution to the risk, from delta and o / o^."""
        return weight * error
