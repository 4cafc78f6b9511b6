"""FairGrad: alpha-fair gradient descent.

Ban and Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, section 4 and algorithm 1.
arXiv:2402.15638

The gain of task i from an update d is g_i . d, and alpha sets the fairness: 1 is proportional, infinity
max-min. The d that maximises sum_i (g_i . d)^(1 - alpha) / (1 - alpha) in a ball is sum_i w_i g_i with

    G w = w^(-1 / alpha),    w > 0,    G the Gram matrix

At alpha = 1 that is Nash-MTL. For orthogonal gradients w_i = |g_i|^(-2 alpha / (1 + alpha)).

Departs from the paper: as in all gradient balancers here, weights sum to the number of tasks (`rescale`),
embeddings enter as looked-up rows, and a task's own parameters follow its own loss. Without `rescale` the
scale is that of gradients divided by their root mean squared length. alpha = 2 is that of the authors'
published scripts.

Computed by torchjd's FairGradWeighting (MIT), non-linear least squares by SciPy (BSD).

Pitfalls: as with Nash-MTL a task with a short gradient gets a large weight, the more so the larger alpha is.
If gradients cancel there is no solution: least squares stops after 100 evaluations with its current iterate.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import FairGradWeighting

EVALUATIONS = 100
"""Most evaluations of the equation: about 20 suffice if it has a solution, and no number does otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FairGradConfig(MixOptions):
    """Options of FairGrad.

    Attributes:
        alpha: kind of fairness; 1 is Nash-MTL, more favours the task that gains least, 0 is equal weights.
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"alpha = {self.alpha}; a finite number, 0 or more")


class FairGrad(TorchjdBalancer):
    """G w = w^(-1 / alpha)."""

    Config = FairGradConfig

    def weighting(self, config: FairGradConfig) -> "FairGradWeighting":
        """Return torchjd's FairGrad."""
        from torchjd.aggregation import FairGradWeighting

        return FairGradWeighting(alpha=config.alpha, max_iters=EVALUATIONS)
