"""GradDrop: gradient sign dropout.

Chen et al., "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout", NeurIPS 2020,
section 3 and algorithm 1. arXiv:2010.06808

For each scalar of the shared parameters, with g_i its gradient from task i, the positive share is

    P = 1/2 (1 + sum_i g_i / sum_i |g_i|)

One sign is drawn, positive with probability P, and only gradients of that sign are summed:

    update = sum_i g_i [U < P and g_i > 0  or  U > P and g_i < 0],    U ~ uniform(0, 1)

Where all tasks agree on a sign nothing is dropped.

Departs from the paper: it drops gradients on parameters and looked-up rows, where the paper's layer drops
those on activations, multiplied by their signs and summed over the batch; no task leaks (all leaks are 0, the
paper's default) and P enters as it is. A task's own parameters follow its own loss.

There are no weights to rescale: where tasks agree the update is their sum, and in expectation it always is,
(a^2 - b^2) / (a + b) = a - b for a, b the sums of the positive and of the negative parts. The scale is that
of equal weights.

Pitfalls: in expectation it is equal weights: it only adds noise, most where tasks disagree, which does not
shrink as training converges and may need a lower learning rate. A task with small gradients loses nearly
every draw against a large one.
"""

import torch
from torch import Tensor

from mtlbench.balancing.base import Jacobian, JacobianBalancer, NoOptions


class GradDrop(JacobianBalancer):
    """One sign per scalar parameter."""

    Config = NoOptions

    def combine(self, losses: Tensor, jacobian: Jacobian) -> list[Tensor]:
        """Draw signs from each replica's own generator, and drop the rest."""
        return [just_one_sign(part, self._draw(part)) for part in jacobian]

    def _draw(self, part: Tensor) -> Tensor:
        """Draw uniform numbers (replica, ...) for a part (replica, task, ...), on the CPU as all draws."""
        drawn = [torch.rand(part.shape[2:], generator=generator) for generator in self.generators]
        return torch.stack(drawn).to(part, non_blocking=True)


def just_one_sign(gradients: Tensor, drawn: Tensor) -> Tensor:
    """Sum the gradients (replica, task, ...) that have the drawn sign over tasks, to (replica, ...)."""
    up, down = gradients.clamp(min=0).sum(dim=1), gradients.clamp(max=0).sum(dim=1)
    purity = up / (up - down)  # the paper's P; NaN where all are 0, and `down` is 0 then
    return torch.where(drawn < purity, up, down)
