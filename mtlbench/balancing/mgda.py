"""MGDA: the multiple-gradient descent algorithm.

Sener and Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018, sections 3.1-3.2 and
algorithm 2. arXiv:1810.04650. After Désidéri, "Multiple-gradient descent algorithm (MGDA) for multiobjective
optimization", Comptes Rendus Mathématique 350, 2012.

The weights of the shortest vector in the convex hull of the task gradients:

    min_w | sum_i w_i g_i |^2,    w_i >= 0,  sum_i w_i = 1

It is 0 if the tasks cannot all improve, else a direction in which all do. For two tasks

    w_1 = clip( (g_2 - g_1) . g_2 / |g_1 - g_2|^2, 0, 1)

Departs from the paper: the upper bound by gradients on the representation (MGDA-UB) is not used; as in all
gradient balancers here, weights sum to the number of tasks (`rescale`), embeddings enter as looked-up rows,
and a task's own parameters follow its own loss.

Computed by torchjd's MGDAWeighting (MIT), the Frank-Wolfe solver of algorithm 2, at most 100 iterations.

Pitfalls: the shortest vector leans towards the shortest gradient, so a rare or nearly learned task takes over
and a task that still has far to go gets a weight of about 0. Near a Pareto-stationary point the update is
nearly 0, and training stops there, good or not.
"""

from typing import TYPE_CHECKING

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import MGDAWeighting


class MGDA(TorchjdBalancer):
    """The shortest convex combination of the gradients."""

    def weighting(self, config: MixOptions) -> "MGDAWeighting":
        """Return torchjd's MGDA."""
        from torchjd.aggregation import MGDAWeighting

        return MGDAWeighting()
