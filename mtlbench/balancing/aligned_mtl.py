"""Aligned-MTL: independent component alignment.

Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023, section 4 and
algorithm 1. arXiv:2305.19000

The task gradients are the rows of a linear system whose condition number measures how much they conflict and
how much one dominates. They are replaced by the nearest ones that are orthogonal and equally long: with the
Gram matrix G = V S V^T, s the smallest eigenvalue that is not 0, and w_0 = 1/K,

    w = sqrt(s) V S^(-1/2) V^T w_0

For orthogonal gradients that is w_i ~ 1 / |g_i|.

Departs from the paper, as all gradient balancers do here: weights sum to the number of tasks (`rescale`),
embeddings enter as looked-up rows, and a task's own parameters follow its own loss.

Computed by torchjd's AlignedMTLWeighting (MIT), scale mode "min", the paper's. Eigenvalues below 1e-5 of the
largest count as 0: in float32 they may be rounding errors.

Pitfalls: all gradients become equally long, so a task whose gradient is mostly noise weighs as much as any.
Weights may be negative, and if the gradients nearly cancel, `rescale` amplifies what is left. The smallest
eigenvalue is the least accurate, and its direction gets the most weight. A gradient 300 times shorter than
the longest counts as zero.
"""

from typing import TYPE_CHECKING, Any

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer, certain

if TYPE_CHECKING:
    from torchjd.aggregation import Weighting


class AlignedMTL(TorchjdBalancer):
    """G^(-1/2) applied to equal weights."""

    revision = 2

    def weighting(self, config: MixOptions) -> "Weighting[Any]":
        """Return torchjd's Aligned-MTL."""
        from torchjd.aggregation import AlignedMTLWeighting

        return AlignedMTLWeighting(scale_mode="min") << certain
