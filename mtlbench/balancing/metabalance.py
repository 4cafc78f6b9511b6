"""MetaBalance: auxiliary gradients as long as the target task's.

He et al., "MetaBalance: Improving Multi-Task Recommendations via Adapting Gradient Magnitudes of Auxiliary
Tasks", WWW 2022, section 4. arXiv:2203.06801

One task is the target, the others are there to help it. For each shared parameter tensor separately, with m_i
a moving average of the length of task i's gradient g_i on it, and r how near the lengths should come,

    m_i <- beta m_i + (1 - beta) |g_i|
    update = g_target + sum_{i not target} ( r m_target / m_i + (1 - r) ) g_i

At r = 1 all gradients are (on average) as long as the target's, at r = 0 it is equal weights.

Departs from the paper: of its three strategies only the third is implemented, which shortens gradients longer
than the target's and lengthens shorter ones; an embedding table counts as one parameter, whose gradient is
that on the looked-up rows; where the target has had no gradient on a parameter, the others keep theirs. 0.7
and 0.9 are the defaults of the authors' code.

There are no weights to rescale, since each parameter has its own: the target's are 1 throughout.

Pitfalls: it serves one task, and the others may get worse; results depend on `target`. A target with few
labels has short gradients, and none in a batch without its labels: there the average shortens the others, so
beta should be large enough to bridge such batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from mtlbench.balancing.base import Jacobian, JacobianBalancer
from mtlbench.errors import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaBalanceConfig:
    """Options of MetaBalance.

    Attributes:
        target: task that the others are there to help; if empty, the last one, since tasks are listed in
            the order of a funnel, whose end is the rare event that pays.
        relax: r, how near the lengths should come to the target's; 0 is equal weights.
        beta: share of the moving averages of lengths that is kept at each step.
    """

    target: str = ""
    relax: float = 0.7
    beta: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.relax <= 1:
            raise ValueError(f"relax = {self.relax}; from 0 to 1")
        if not 0 <= self.beta < 1:
            raise ValueError(f"beta = {self.beta}; 0 or more, below 1")


class MetaBalance(JacobianBalancer):
    """r m_target / m_i + (1 - r), separately for each parameter."""

    Config = MetaBalanceConfig

    def __init__(
        self,
        tasks: Sequence[str],
        configs: Sequence[MetaBalanceConfig],
        generators: Sequence[Generator] = (),
    ) -> None:
        super().__init__(tasks, configs, generators)
        for config in configs:
            if config.target and config.target not in tasks:
                raise unknown("task in balancer.target", config.target, tasks)

    def combine(self, losses: Tensor, jacobian: Jacobian) -> list[Tensor]:
        """Scale the gradients towards the target's length, and sum them."""
        relax = self.option("relax", losses)
        mixed = []
        for i, gradients in enumerate(jacobian):
            lengths = self._averaged(f"lengths {i}", gradients.flatten(start_dim=2).norm(dim=2))
            target = lengths.gather(1, self._targets(losses))
            ratio = torch.where((lengths > 0) & (target > 0), target / lengths, 1.0)
            weights = relax * ratio + (1 - relax)
            mixed.append(torch.einsum("rk,rk...->r...", weights, gradients))
        return mixed

    def _averaged(self, name: str, lengths: Tensor) -> Tensor:
        """Update the moving average of lengths (replica, task); it starts at 0, which cancels in ratios."""
        average = self.remember(name, partial(torch.zeros_like, lengths))
        beta = self.option("beta", lengths)
        return average.mul_(beta).add_((1 - beta) * lengths)

    def _targets(self, losses: Tensor) -> Tensor:
        """Return the column of each replica's target task, (replica, 1)."""
        columns = [[self.tasks.index(config.target or self.tasks[-1])] for config in self.configs]
        return self.remember("targets", lambda: torch.tensor(columns, device=losses.device))
