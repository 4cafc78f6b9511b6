"""A worked example: a method, FiLM, and a balancer, each with an option.

Run it with `mtlbench run --plugin docs/examples/my_method.py --method film --balancer inverse-loss`. A file
that defines only one method may describe it here instead of in the docstring of its class; `mtlbench show
film` prints it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlbench.balancing.base import Balancer, rescaled
from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class FiLMConfig(NetworkConfig):
    """Options, in addition to those that all methods share.

    Attributes:
        shift: whether tasks shift too, or only scale.
    """

    shift: bool = True


class FiLM(Method):
    """FiLM sharing: one network for all tasks, whose output each task scales and shifts.

    Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018, section 2.1.
    https://arxiv.org/abs/1709.07871

    For task k, with the shared network f and tower h^k:

        y_k = h^k( gamma_k * f(x) + beta_k )

    Departs from the paper: the condition is the task, so gamma_k and beta_k are free parameters instead of
    outputs of a network; there is one FiLM layer, after the last hidden one.

    Pitfalls: a tower with at least one hidden layer can undo the scale and shift, so expect little gain over
    hard sharing.
    """

    Config = FiLMConfig

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: FiLMConfig) -> None:
        super().__init__(spec, tasks, config)
        width = config.network[-1]
        self.features = Features(spec, config)  # all fields of a row as one vector
        self.network = mlp(self.features.width, config.network, config)
        self.scales = nn.ParameterDict({k: nn.Parameter(torch.ones(width)) for k in self.tasks})
        shifted = self.tasks if config.shift else ()
        self.shifts = nn.ParameterDict({k: nn.Parameter(torch.zeros(width)) for k in shifted})
        self.towers = nn.ModuleDict({k: mlp(width, config.tower, config, outputs=1) for k in self.tasks})

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map a batch to one output per task, each (batch, 1)."""
        shared = self.network(self.features(inputs))  # (batch, width)
        outputs = {}
        for task, tower in self.towers.items():
            own = shared * self.scales[task]
            if task in self.shifts:
                own = own + self.shifts[task]
            outputs[task] = tower(own)
        return outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseLossConfig:
    """Options of the balancer.

    Attributes:
        power: p in w_k = L_k^-p; 0 gives equal weights.
    """

    power: float = 1.0


class InverseLoss(Balancer):
    """Weights that are inverse to the losses, scaled to sum to the number of tasks: w_k = L_k^-p."""

    Config = InverseLossConfig

    def weights(self, losses: Tensor) -> Tensor:
        """Map detached losses (replica, task) to weights of the same shape."""
        inverse = losses.clamp(min=1e-8) ** -self.option("power", losses)
        return rescaled(inverse, torch.ones_like(losses[:, :1]))


METHODS = {"film": FiLM}
BALANCERS = {"inverse-loss": InverseLoss}
