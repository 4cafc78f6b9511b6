"""IMTL-G: impartial multi-task learning, its gradient half (`imtl-l` is the other).

Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.1.
https://openreview.net/forum?id=IMPnRXEWpvr

Weights that sum to 1, for which the update's projections on all task gradients are equal, u_i = g_i / |g_i|:

    sum_j w_j g_j . u_1  =  sum_j w_j g_j . u_i    for all i

With G the Gram matrix and d_i = |g_i| that is w ~ G^-1 d. For two tasks w_i ~ 1 / |g_i|, at any angle.

Departs from the paper: G^-1 is the pseudo-inverse, after Quinton and Rey (arXiv:2406.16232), so that
gradients may be linearly dependent; all shared parameters count, not the gradient on the shared feature; as
in all gradient balancers here, weights sum to the number of tasks (`rescale`), embeddings enter as looked-up
rows, and a task's own parameters follow its own loss.

Computed by torchjd's IMTLGWeighting (MIT). Eigenvalues of G below 1e-5 of the largest count as 0: in float32
they may be rounding errors.

Pitfalls: with three tasks or more weights may be negative. If G^-1 d sums to less than 0, dividing by the sum
reverses the update, and all tasks lose: this happens if a short gradient lies between longer ones. If it sums
to nearly 0 the weights are huge, unless `rescale` bounds them. Long gradients lose weight whether they are
noise or not, and short ones gain it, except that one 300 times shorter than the longest counts as zero.
"""

from typing import TYPE_CHECKING, Any

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer, certain

if TYPE_CHECKING:
    from torchjd.aggregation import Weighting


class IMTLG(TorchjdBalancer):
    """Equal projections on all task gradients."""

    revision = 2

    def weighting(self, config: MixOptions) -> "Weighting[Any]":
        """Return torchjd's IMTL-G."""
        from torchjd.aggregation import IMTLGWeighting

        return IMTLGWeighting() << certain
