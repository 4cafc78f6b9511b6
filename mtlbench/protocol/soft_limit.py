"""Soft sharing between its limits, by plain SGD on the method's modules: the second half of A4.

The pipeline trains with Adam, but the claim is about SGD, so this file has its own loop. With K networks
theta_k, one tower each, step size eta, and the penalty lambda sum_{j<k} ||theta_j - theta_k||^2, whose
gradient in theta_k is 2 lambda K (theta_k - mean), one step is

    mean            <-  mean - (eta / K) sum_k g_k                              (the penalty cancels)
    theta_k - mean  <-  (1 - 2 lambda eta K) (theta_k - mean) - eta (g_k - mean of the g)

The mean thus steps as hard sharing does at eta / K, with gradients taken at the theta_k instead of the mean;
towers step with eta in both. While 0 < lambda eta < 1 / K the distance contracts, towards
|g_k - mean of the g| / (2 lambda K). The distance tends to 0 as lambda grows with lambda eta held fixed, as
does the difference of the scores. The bound "lambda eta < 1" is for a penalty without the factor 2 K in its
gradient; here, with K = 2, it is lambda eta < 1/2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlbench.load import Prepared
from mtlbench.methods.base import Inputs, InputSpec, Method, NetworkConfig
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.methods.soft_sharing import SoftSharing, SoftSharingConfig

CLOSE = 1e-3
STRENGTHS = (1.0, 10.0, 100.0)
LAMBDA_ETA = 0.1
DURATION = 1.0
"""Product of eta and the number of steps: the same path, in ever smaller steps."""
NETWORK, TOWER = (16,), ()


@dataclass(frozen=True, slots=True)
class Limit:
    """Where SGD ended at one lambda.

    Attributes:
        strength: lambda.
        distance: Euclidean distance of the two networks, over all parameters.
        difference: largest difference of the scores from hard sharing, in standard deviations of the label.
    """

    strength: float
    distance: float
    difference: float


def approach(prepared: Prepared, strengths: Sequence[float] = STRENGTHS) -> list[Limit]:
    """Train soft sharing at each lambda, and hard sharing at eta / K beside it, on all train rows at once."""
    spec, tasks = InputSpec.of(prepared.schema), prepared.schema.tasks
    split = prepared.open_split("train")
    numeric, labels = (torch.tensor(m, dtype=torch.float64) for m in (split.numeric, split.labels))
    nothing = numeric.new_zeros(len(numeric), 0, 1)  # no categorical field, no sequence
    tables = (nothing,) * len(tasks)
    inputs = Inputs(spec, tables, tables, nothing[:, :, 0], numeric)
    limits = []
    for strength in strengths:
        eta = LAMBDA_ETA / strength
        steps = round(DURATION / eta)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            soft = SoftSharing(
                spec, tasks, SoftSharingConfig(strength=strength, network=NETWORK, tower=TOWER)
            ).double()
        hard = HardSharing(spec, tasks, NetworkConfig(network=NETWORK, tower=TOWER)).double()
        hard.bottom.load_state_dict(next(iter(soft.networks.values())).state_dict())
        hard.towers.load_state_dict(soft.towers.state_dict())
        descend(soft, list(soft.networks.parameters()), eta, eta, inputs, labels, steps)
        descend(hard, list(hard.bottom.parameters()), eta / len(tasks), eta, inputs, labels, steps)
        with torch.no_grad():
            mine, theirs = soft(inputs), hard(inputs)
            difference = max(float((mine[t.name] - theirs[t.name]).abs().max()) for t in tasks)
        limits.append(Limit(strength, network_distance(soft), difference))
    return limits


def descend(
    method: Method,
    networks: Sequence[nn.Parameter],
    rate: float,
    tower_rate: float,
    inputs: Inputs,
    labels: Tensor,
    steps: int,
) -> None:
    """Run SGD on the task losses plus the penalty: the networks at `rate`, the rest at `tower_rate`."""
    own = {id(parameter) for parameter in networks}
    parameters = list(method.parameters())
    rates = [rate if id(parameter) in own else tower_rate for parameter in parameters]
    for _ in range(steps):
        losses = method.losses(method(inputs), labels)
        loss = torch.stack([*losses.values()]).sum() + method.penalty(inputs)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient, step in zip(parameters, gradients, rates, strict=True):
                parameter.sub_(step * gradient)


def network_distance(soft: SoftSharing) -> float:
    """Return the Euclidean distance of the first two networks, over all parameters."""
    one, other = (torch.cat([p.flatten() for p in n.parameters()]) for n in list(soft.networks.values())[:2])
    return float((one - other).detach().norm())
