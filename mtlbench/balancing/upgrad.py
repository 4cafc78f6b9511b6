"""UPGrad: unconflicting projection of gradients.

Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, section 3. arXiv:2406.16232

Each task gradient is projected on the dual cone of all of them, where no task loses, and the mean is taken:

    update = mean_i argmin_d |d - g_i|^2    with d . g_j >= 0 for all j

Each projection is sum_j v_j g_j for the v of the dual problem, with G the Gram matrix and e_i a unit vector:

    min_v v^T G v    with v >= e_i

Unlike in PCGrad, order does not matter, the update conflicts with no task however many there are, and it
scales linearly with each gradient. For two tasks the two are the same.

Departs from the paper, as all gradient balancers do here: weights sum to the number of tasks (`rescale`),
embeddings enter as looked-up rows, and a task's own parameters follow its own loss.

Computed by torchjd's UPGradWeighting (MIT), by the same authors. Its solver, quadprog, is under the GPL: here
the dual problem is solved as non-negative least squares by SciPy (BSD).

Pitfalls: gradients that conflict on a batch may agree on the data, but are projected all the same. The
largest gradient still decides where there is no conflict. With many tasks the cone is narrow and the update
short.
"""

from typing import TYPE_CHECKING, Any

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.dualproj import project
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import UPGradWeighting


class UPGrad(TorchjdBalancer):
    """The mean of the gradients, each projected on the dual cone of all."""

    def weighting(self, config: MixOptions) -> "UPGradWeighting":
        """Return torchjd's UPGrad, with our projection."""
        from torchjd.aggregation import UPGradWeighting

        projector: Any = project
        return UPGradWeighting(projector=projector)
