"""Nash-MTL: multi-task learning as a bargaining game.

Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, section 3 and algorithm 1.
arXiv:2202.01017

The gain of task i from an update d is g_i . d. The Nash bargaining solution maximises sum_i log(g_i . d) in a
ball; it is d = sum_i w_i g_i with

    G w = 1 / w,    w > 0,    G the Gram matrix

which is the minimum of the strictly convex  1/2 w^T G w - sum_i log w_i. For two tasks at cosine c

    w_i = 1 / (|g_i| sqrt(1 + c))

Departs from the paper: its convex-concave sequence of cone programs is replaced by Newton's method on the
function above, whose minimum is exactly the solution, for all replicas at once and with no solver to install
(the authors' and torchjd's need ECOS, under the GPL); the update is not clipped to length 1; as in all
gradient balancers here, weights sum to the number of tasks (`rescale`), embeddings enter as looked-up rows,
and a task's own parameters follow its own loss. Without `rescale` the scale is that of gradients divided by
their root mean squared length.

Pitfalls: each task's weight is proportional to 1 / |g_i|: a task that is nearly done, or has few labels, gets
the largest weight. If gradients cancel there is no solution: the weights become very large instead of
infinite. An `update_every` above 1 saves little here, and weights batches by another batch's gradients.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.balancing.base import GramBalancer, MixOptions
from mtlbench.balancing.torchjd_weighting import conditioned, of_present

RIDGE = 1e-6
"""Added to the matrix of cosines, whose precision it matches, so that the weights stay finite."""
ITERATIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NashMTLConfig(MixOptions):
    """Options of Nash-MTL.

    Attributes:
        update_every: number of steps between bargains; the weights are kept in between.
    """

    update_every: int = 1

    def __post_init__(self) -> None:
        if self.update_every < 1:
            raise ValueError(f"update_every = {self.update_every}; at least 1")


class NashMTL(GramBalancer):
    """G w = 1 / w."""

    Config = NashMTLConfig
    _step = 0

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        """Compute new weights for the replicas that are due; the others keep theirs."""
        weights = self.remember("weights", lambda: torch.ones_like(losses))
        due = [self._step % config.update_every == 0 for config in self.configs]
        self._step += 1
        if any(due):
            column = torch.tensor(due).to(losses.device, non_blocking=True)[:, None]
            weights.copy_(torch.where(column, bargain(gram).to(losses), weights))
        return weights.clone()

    def state(self) -> dict[str, Tensor]:
        """Add the step count, which a resumed run needs to bargain at the same steps."""
        return {**super().state(), "step": torch.tensor(self._step)}

    def restore(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore the tensors, and the step count."""
        super().restore(state, device)
        self._step = int(state.get("step", 0))  # absent in states of older versions


def bargain(gram: Tensor) -> Tensor:
    """Solve G w = 1 / w for w > 0, (replica, task), by damped Newton, with G (replica, task, task).

    With w_i = b_i / |g_i| it is C b = 1 / b for the matrix C of cosines. The function is self-concordant: a
    step shortened to 1 / (1 + its own length in the Hessian's norm) never leaves b > 0 and always descends.
    """
    scaled, present = conditioned(gram)
    lengths = scaled.diagonal(dim1=1, dim2=2).sqrt()
    cosines = scaled / (lengths[:, :, None] * lengths[:, None, :])
    cosines = cosines + RIDGE * torch.eye(gram.shape[1], dtype=cosines.dtype, device=cosines.device)
    b = torch.ones_like(lengths)
    for _ in range(ITERATIONS):
        slope = (cosines @ b[:, :, None]).squeeze(2) - 1 / b
        step, _ = torch.linalg.solve_ex(cosines + torch.diag_embed(b**-2), slope)
        decrement = (slope * step).sum(dim=1, keepdim=True).clamp(min=0).sqrt()
        b = b - step / torch.where(decrement > 0.25, 1 + decrement, 1)
    return of_present(b / lengths, present)
