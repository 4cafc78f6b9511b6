"""GradVac: gradient vaccine.

Wang et al., "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual
Models", ICLR 2021, section 4. arXiv:2010.05874

PCGrad acts on a pair of tasks only where their gradients conflict, and then makes them orthogonal. GradVac
remembers what cosine a pair usually has, as a moving average a_ij, and bends g_i to that where it is below:

    cos = g_i . g_j / (|g_i| |g_j|)
    g_i <- g_i + |g_i| (a_ij sqrt(1 - cos^2) - cos sqrt(1 - a_ij^2)) / (|g_j| sqrt(1 - a_ij^2)) g_j
    a_ij <- (1 - beta) a_ij + beta cos

Each g_i meets the others in random order; the update is the sum. With beta = 0 all a_ij stay 0, which is
PCGrad.

Departs from the paper: one average a pair over all that is shared, not one a layer; as all that mix gradients
do here, weights sum to the number of tasks (`rescale`), embeddings enter as looked-up rows, and a task's own
parameters follow its own loss; a task without a gradient in a batch is left out, and its pairs' averages
stay. beta = 0.5 is torchjd's and LibMTL's; the paper's experiments have 0.01.

By torchjd's GradVacWeighting (MIT).

Pitfalls: the cosine of two batch gradients is mostly noise where labels are rare, and with a large beta the
target follows it. A gradient that is bent to a long one gains its length: the sum grows with conflict.
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
    """g_i bent to the angle that it usually has to each g_j."""

    Config = GradVacConfig
    revision = 2

    def weighting(self, config: GradVacConfig) -> "GradVacWeighting":
        """torchjd's GradVac, which keeps the averages."""
        from torchjd.aggregation import GradVacWeighting

        return GradVacWeighting(beta=config.beta)

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """torchjd's object also has to be told of which tasks the averages are, or it begins anew."""
        super().restore(state, device)
        for one in self._weightings:
            averages: Any = one  # as in `ask`
            if averages._phi_t is not None:
                averages._state_key = (len(averages._phi_t), averages._phi_t.dtype)

    def ask(self, weighting: Any, gram: Tensor, present: Tensor) -> Tensor:
        """Among the tasks with a gradient, lent the averages of their pairs; those of other pairs wait.

        (Any: torchjd has no public way to the averages. `test_gradvac` would notice if they moved.)
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
