"""GradVac: gradient vaccine.

Wang et al., "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual
Models", ICLR 2021, section 4. arXiv:2010.05874

PCGrad acts on a pair of tasks only if their gradients conflict, and then makes them orthogonal. GradVac keeps
a moving average a_ij of each pair's cosine, and bends g_i to that angle if the current cosine is below it:

    cos = g_i . g_j / (|g_i| |g_j|)
    g_i <- g_i + |g_i| (a_ij sqrt(1 - cos^2) - cos sqrt(1 - a_ij^2)) / (|g_j| sqrt(1 - a_ij^2)) g_j
    a_ij <- (1 - beta) a_ij + beta cos

Each g_i is compared with the others in random order; the update is the sum. With beta = 0 all a_ij stay 0,
which is PCGrad.

Departs from the paper: one average per pair over all shared parameters, not one per layer; as in all gradient
balancers here, weights sum to the number of tasks (`rescale`), embeddings enter as looked-up rows, and a
task's own parameters follow its own loss; a task without a gradient in a batch is left out, and its pairs'
averages stay. beta = 0.5 is torchjd's and LibMTL's; the paper's experiments have 0.01.

Computed by torchjd's GradVacWeighting (MIT).

Pitfalls: the cosine of two batch gradients is mostly noise where labels are rare, and with a large beta the
target follows it. A gradient that is bent towards a long one gains length: the sum grows with conflict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import GradVacWeighting


@dataclass(frozen=True, slots=True, kw_only=True)
class GradVacConfig(MixOptions):
    """Options of GradVac.

    Attributes:
        beta: share of the newest cosine in the average; 0 gives PCGrad.
    """

    beta: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta = {self.beta}; from 0 to 1")


class GradVac(TorchjdBalancer):
    """g_i bent to its usual angle to each g_j."""

    Config = GradVacConfig
    revision = 2

    def weighting(self, config: GradVacConfig) -> "GradVacWeighting":
        """Return torchjd's GradVac, which keeps the averages."""
        from torchjd.aggregation import GradVacWeighting

        return GradVacWeighting(beta=config.beta)

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Also tell torchjd's object the shape of its averages, or it would reset them."""
        super().restore(state, device)
        for one in self._weightings:
            averages: Any = one  # as in `ask`
            if averages._phi_t is not None:
                averages._state_key = (len(averages._phi_t), averages._phi_t.dtype)

    def ask(self, weighting: Any, gram: Tensor, present: Tensor) -> Tensor:
        """Compute weights among the tasks with a gradient; the averages of other pairs are left as they are.

        (Any: torchjd has no public access to the averages. `test_gradvac` would notice if they moved.)
        """
        if present.all():
            return super().ask(weighting, gram, present)
        tasks, here = len(gram), present.nonzero()[:, 0]
        pairs = here[:, None], here
        averages = gram.new_zeros(gram.shape) if weighting._phi_t is None else weighting._phi_t
        weighting._phi_t, weighting._state_key = averages[pairs], (len(here), gram.dtype)
        weights = gram.new_zeros(tasks)
        weights[here] = weighting(gram[pairs])
        averages[pairs] = weighting._phi_t
        weighting._phi_t, weighting._state_key = averages, (tasks, gram.dtype)
        return weights
