"""Experts and their mixtures."""

import torch
from torch.testing import assert_close

from mtlbench.methods.base import NetworkConfig
from mtlbench.methods.experts import Experts, mixture


def test_a_mixture_weighs_each_expert_by_its_column() -> None:
    weights, experts = torch.rand(5, 3), torch.randn(3, 5, 2)
    assert_close(mixture(weights, experts.unbind()), torch.einsum("be,ebd->bd", weights, experts))
    assert_close(mixture(weights[:, :1], [experts[0]]), weights[:, :1] * experts[0])


def test_experts_are_networks_of_their_own() -> None:
    experts = Experts(3, 4, NetworkConfig(network=(6, 2)))
    x = torch.randn(5, 4)
    found = experts(x)
    assert [one.shape for one in found] == [(5, 2)] * 3
    for one, network in zip(found, experts, strict=True):
        assert_close(one, network(x))
    assert not torch.equal(found[0], found[1])
