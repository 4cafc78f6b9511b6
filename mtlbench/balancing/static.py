"""Static weights (linear scalarisation): w_k L_k with weights chosen beforehand, used as given.

The frontier over such weights is what a balancer has to beat: Kurin et al., "In Defense of the Unitary
Scalarization for Deep Multi-Task Learning", NeurIPS 2022; Xin et al., "Do Current Multi-Task Optimization
Methods in Deep Learning Even Help?", NeurIPS 2022.

    L = sum_k w_k L_k

Pitfalls: weights that were tuned on test, or copied from another dataset or from other units of a
regression's label. Weights that do not sum to the number of tasks also change the learning rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from mtlbench.balancing.base import Balancer
from mtlbench.errors import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticConfig:
    """Options of static weights.

    Attributes:
        weights: task -> weight; a task that is not named has weight 1.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"weights.{task} = {weight}; a finite number, 0 or more")


class Static(Balancer):
    """w_k as given."""

    Config = StaticConfig
    replays = True
    revision = 2

    def __init__(
        self, tasks: Sequence[str], configs: Sequence[StaticConfig], generators: Sequence[Generator] = ()
    ) -> None:
        super().__init__(tasks, configs, generators)
        for name in (name for config in configs for name in config.weights):
            if name not in tasks:
                raise unknown("task in balancer.weights", name, tasks)

    def weights(self, losses: Tensor) -> Tensor:
        """Return the weights given for each replica, (replica, task)."""
        given = [[c.weights.get(task, 1.0) for task in self.tasks] for c in self.configs]
        return self.remember("given", lambda: torch.tensor(given).to(losses))
