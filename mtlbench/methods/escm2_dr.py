"""ESCM2-DR: Entire Space Counterfactual Multi-task Model, doubly robust.

Wang et al., "ESCM2: Entire Space Counterfactual Multi-Task Model for Post-Click Conversion Rate Estimation",
SIGIR 2022. https://doi.org/10.1145/3477495.3531972 (arXiv:2204.05125)

As escm2-ips, with another counterfactual risk: a separate tower imputes the error delta on every row, and
only its residual, e = delta - delta^, is weighted by the inverse propensity (notation of escm2-ips):

    R_DR = mean_i[ delta^_i + o_i e_i / o^_i ] + mean_i[ o_i e_i^2 / o^_i ]

The first mean estimates the error over all rows without bias if either the propensities or the imputed errors
are right. The second fits the imputing tower.

Departs from the paper: the imputed error is a softplus, since an error is not negative; its tower has the
network of a task and starts as a copy of its child's; both means have the weight lambda_c. The departures of
escm2-ips apply here too: propensities are clipped constants. All else is differentiated as it stands.

Pitfalls: papers that compare both find it the less stable of the two. The imputed error does not depend on
the conditional head, so that the first mean moves that head exactly as IPS does: the difference comes from
the second mean and from the shared embeddings. A child's loss may be negative (with o = 1 and delta <
delta^), which balancers that take logarithms or roots of the losses (gls, famo, db-mtl) cannot handle.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mtlbench.methods.base import Inputs, InputSpec
from mtlbench.methods.escm2_ips import ESCM2IPS, ESCM2Config
from mtlbench.schema import Task


class ESCM2DR(ESCM2IPS):
    """ESCM2 with one tower per child that imputes its error."""

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: ESCM2Config) -> None:
        super().__init__(spec, tasks, config)
        self.imputations = nn.ModuleDict({child: deepcopy(self.models[child]) for child in self.parents})

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map as ESCM2-IPS does; a child has a third column, its imputed error before the softplus."""
        outputs = super().forward(inputs)
        for child, model in self.imputations.items():
            outputs[child] = torch.cat([outputs[child], model(inputs)["own"]], dim=1)
        return outputs

    def risk(self, error: Tensor, weight: Tensor, *beside: Tensor) -> Tensor:
        """Return each row's contribution to both means of R_DR."""
        imputed = softplus(beside[0])
        missed = error - imputed
        return imputed + weight * missed + weight * missed.square()
