"""CAGrad: conflict-averse gradient descent.

Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021, section 3 and
algorithm 1. arXiv:2110.14048

The direction d that maximises the gain of the worst-off task, in a ball around the mean gradient g_0:

    max_d min_i g_i . d    with |d - g_0| <= c |g_0|

Its dual is over weights w of the simplex, with g_w = sum_i w_i g_i:

    min_w  g_w . g_0 + c |g_0| |g_w|,    d = g_0 + c |g_0| g_w / |g_w|

At c = 0 it is the mean gradient; the larger c, the nearer to MGDA.

Departs from the paper: as in all gradient balancers here, weights sum to the number of tasks (`rescale`),
embeddings enter as looked-up rows, and a task's own parameters follow its own loss; `rescale` replaces the
factor 1 / (1 + c^2) of the authors' code. c = 0.4 is theirs for NYU-v2.

Computed by torchjd's CAGradWeighting (MIT), which solves the dual by Clarabel (Apache-2.0) through CVXPY
(Apache-2.0).

Pitfalls: c decides between equal weights and MGDA and needs tuning per dataset. The gradients are not
normalised: if losses differ in scale, the largest makes up most of g_0, and the ball is around that task's
gradient; if one task's gradient is a millionth of the others', there is no step. Solving a cone program per
step and replica takes milliseconds.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import CAGradWeighting

STATIONARY = 1e-6
"""|g_w|, relative to the gradients' mean length, below which no direction improves all tasks, and no step is
taken. torchjd's 1e-4 is reached as soon as one task's gradient is that much shorter than the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CAGradConfig(MixOptions):
    """Options of CAGrad.

    Attributes:
        c: radius of the ball, in lengths of the mean gradient; 0 gives equal weights.
    """

    c: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.c < float("inf"):
            raise ValueError(f"c = {self.c}; a finite number, 0 or more")


class CAGrad(TorchjdBalancer):
    """g_0 + c |g_0| g_w / |g_w|."""

    Config = CAGradConfig
    revision = 2

    def weighting(self, config: CAGradConfig) -> "CAGradWeighting":
        """Return torchjd's CAGrad."""
        from torchjd.aggregation import CAGradWeighting

        return CAGradWeighting(c=config.c, norm_eps=STATIONARY)
