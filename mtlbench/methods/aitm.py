"""AITM: Adaptive Information Transfer Multi-task framework.

Xi et al., "Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning
in Targeted Display Advertising", KDD 2021. https://doi.org/10.1145/3447548.3467071 (arXiv:2105.08489)

Task t has a network f_t and, except for the first, receives p_{t-1} from its predecessor:

    q_t = f_t(x),    p_{t-1} = g_{t-1}(z_{t-1}),    z_1 = q_1
    z_t = sum_{u in {p_{t-1}, q_t}} w_u h1(u),    w = softmax_u( <h2(u), h3(u)> / sqrt(k) )
    y_t = sigmoid(tower_t(z_t))
    L = sum_t L_t + alpha sum_{t>1} mean max(y_t - y_{t-1}, 0)

The last term, the behavioural expectation calibrator, penalises a step that is predicted to happen more often
than the one before it.

Departs from the paper: on a tree a task passes its knowledge to each of its children, with separate weights,
and a task outside the chain stands alone; the calibrator is part of the later task's loss, over the rows
where that task is defined (a child without a label counts as 0 where its parent is 0), and so weighted with
it; towers have hidden layers; layers are normalised, and networks are the tool's small ones. alpha = 0.6 is
that of the authors' code.

Pitfalls: only for ordered funnels: where a step happens without the one before it, the calibrator is wrong,
and such rows are counted before training. It keeps probabilities in order, not rankings, and is 0 wherever
they are in order already. The later steps' gradients run through the networks of all earlier ones, so that a
rare last step with a large weight spoils the first. A weight of 0 on a task removes its calibrator too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import Tensor, nn

from mtlbench.methods import chain
from mtlbench.methods.base import C, Inputs, InputSpec, Method, Needs
from mtlbench.methods.chain import FunnelConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class AITMConfig(FunnelConfig):
    """Options of AITM; `network` is the shape of each f_t.

    Attributes:
        calibration: alpha, the weight of the calibrator.
    """

    calibration: float = 0.6

    def __post_init__(self) -> None:
        FunnelConfig.__post_init__(self)
        if not 0 <= self.calibration < inf:
            raise ValueError(f"calibration = {self.calibration}; 0 or more")


class AITM(Method):
    """One network and tower per task; each receives its parent's representation by attention."""

    Config = AITMConfig
    needs = Needs(fewest=2, kinds=("binary",), chain=True)
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: AITMConfig) -> None:
        super().__init__(spec, tasks, config)
        self.parents, self.calibration = self.links(config, tasks), config.calibration
        self.features = Features(spec, config)
        input_dim, width = self.features.width, config.network[-1]
        self.networks = nn.ModuleDict({k: mlp(input_dim, config.network, config) for k in self.tasks})
        self.handed = nn.ModuleDict({k: mlp(width, (width,), config) for k in self.parents})
        self.transfers = nn.ModuleDict({k: Transfer(width) for k in self.parents})
        self.towers = nn.ModuleDict({k: mlp(width, config.tower, config, outputs=1) for k in self.tasks})

    @classmethod
    def links(cls, config: C, tasks: Sequence[Task]) -> dict[str, str]:
        """Return the chain of the config, or the one that the tasks declare."""
        assert isinstance(config, FunnelConfig)
        return chain.links(tasks, config.chain)

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one logit per task, each (batch, 1)."""
        x = self.features(inputs)
        z = {task: network(x) for task, network in self.networks.items()}
        for child, parent in self.parents.items():
            z[child] = self.transfers[child](self.handed[child](z[parent]), z[child])
        return {task: tower(z[task]) for task, tower in self.towers.items()}

    def losses(self, outputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return cross-entropies, with the calibrator added to each child's."""
        labels = chain.filled(labels, self.tasks, self.parents)
        losses = super().losses(outputs, labels)
        for child, parent in self.parents.items():
            defined = ~labels[:, self.tasks.index(child)].isnan()
            above = (outputs[child].sigmoid() - outputs[parent].sigmoid())[:, 0].relu()
            mean = (above * defined).sum() / defined.sum().clamp(min=1)
            losses[child] = losses[child] + self.calibration * mean
        return losses


class Transfer(nn.Module):
    """Adaptive information transfer: attention over the parent's output and the task's own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.h1, self.h2, self.h3 = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, handed: Tensor, own: Tensor) -> Tensor:
        """Weight and sum the two (batch, width) row by row."""
        u = torch.stack([handed, own], dim=1)  # (batch, 2, width)
        score = (self.h2(u) * self.h3(u)).sum(dim=-1, keepdim=True) / sqrt(u.shape[-1])
        weighed: Tensor = score.softmax(dim=1) * self.h1(u)
        return weighed.sum(dim=1)
