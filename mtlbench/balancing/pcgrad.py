"""PCGrad: projecting conflicting gradients ("gradient surgery").

Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, algorithm 1. arXiv:2001.06782

The gradient g_i of each task is compared with those of the others in random order. Where the two conflict,
the component of g_i along the other is removed from what is left of g_i:

    g_i <- g_i - (g_i . g_j / |g_j|^2) g_j    if g_i . g_j < 0,    update = sum_i g_i

The projections use the original g_j. If no two tasks conflict, all weights are 1.

Departs from the paper, as all gradient balancers do here: weights sum to the number of tasks (`rescale`),
embeddings enter as looked-up rows, and a task's own parameters follow its own loss.

Computed by torchjd's PCGradWeighting (MIT).

Pitfalls: the longer of two conflicting gradients still decides: it loses as much of its length, in
proportion, as the shorter. With three tasks or more the outcome depends on the order drawn, which is noise in
the update. Conflicts are found on a batch, where for rare labels they are mostly chance.
"""

from typing import TYPE_CHECKING

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import PCGradWeighting


class PCGrad(TorchjdBalancer):
    """g_i without its component along each g_j that it conflicts with."""

    def weighting(self, config: MixOptions) -> "PCGradWeighting":
        """Return torchjd's PCGrad; the order is drawn by the replica's generator."""
        from torchjd.aggregation import PCGradWeighting

        return PCGradWeighting()
