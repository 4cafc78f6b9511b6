"""DualProj: the mean gradient, projected so that no task loses.

Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017, equation
11. arXiv:1706.08840

The vector nearest to the mean gradient that conflicts with no task gradient g_i, that is, the projection onto
the dual cone of the g_i:

    min_d |d - mean_i g_i|^2    with d . g_i >= 0 for all i

It is d = sum_i v_i g_i for the v of the dual problem, with G the Gram matrix and u_i = 1/K:

    min_v v^T G v    with v_i >= u_i

Departs from the paper: there the memories of past tasks constrain the gradient of the present one, here all
tasks are present and constrain their mean; as in all gradient balancers here, weights sum to the number of
tasks (`rescale`), embeddings enter as looked-up rows, and a task's own parameters follow its own loss.

Computed by torchjd's DualProjWeighting (MIT). Its solver, quadprog, is under the GPL: here the dual problem
is solved as non-negative least squares by SciPy (BSD).

Pitfalls: if the mean conflicts with no task it is equal weights, so the largest loss still decides. A task
that would lose is only kept from losing. If gradients cancel the update is nearly 0.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from mtlbench.balancing.base import MixOptions
from mtlbench.balancing.torchjd_weighting import TorchjdBalancer

if TYPE_CHECKING:
    from torchjd.aggregation import DualProjWeighting

RIDGE = 1e-6
"""Added to the eigenvalues of a Gram matrix of scale 1, at its precision, so that the solution is unique."""


class DualProj(TorchjdBalancer):
    """The mean gradient, projected on the dual cone of all."""

    def weighting(self, config: MixOptions) -> "DualProjWeighting":
        """Return torchjd's DualProj, with our projection."""
        from torchjd.aggregation import DualProjWeighting

        projector: Any = project
        return DualProjWeighting(projector=projector)


def project(vectors: Tensor, gram: Tensor) -> Tensor:
    """Find the v >= u that minimises v^T G v, for each row u of `vectors` (..., task) and G (task, task).

    With v = u + s and G = A^T A it is  min |A s + A u|  with s >= 0: non-negative least squares.
    """
    values, basis = torch.linalg.eigh(gram)
    factor = ((values.clamp(min=0) + RIDGE).sqrt()[:, None] * basis.mT).numpy()
    rows = vectors.reshape(-1, len(gram)).numpy()
    raised = np.stack([u + nnls(factor, -factor @ u)[0] for u in rows])
    return torch.from_numpy(raised).reshape(vectors.shape)
