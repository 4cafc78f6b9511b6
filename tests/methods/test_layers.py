"""Layers that methods share."""

import pytest
import torch
from torch.testing import assert_close

from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.methods.layers import BatchNorm, Dropout, Linear
from mtlbench.train.blueprint import Blueprint, Weights
from mtlbench.train.loop import train


def test_dropout_scales_by_its_mask_in_training_alone() -> None:
    layer, x = Dropout(3, 0.5), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    layer.mask = torch.tensor([[0.0, 2.0, 2.0], [2.0, 0.0, 0.0]])
    assert_close(layer(x), torch.tensor([[0.0, 4.0, 6.0], [8.0, 0.0, 0.0]]))
    assert_close(layer.eval()(x), x)


def trained(prepared: Prepared, dropout: float) -> Weights:
    plan = Blueprint.of(HardSharing, HardSharing.Config(network=(8, 4), dropout=dropout), prepared)
    balancer, replicas = Equal(prepared.schema.task_names, [NoOptions()]), plan.replicas(0)
    settings = TrainingSettings(epochs=1, evaluations_per_epoch=1)
    (one,) = train(plan, balancer, settings, replicas, prepared, torch.device("cpu"), lambda rows: None)
    assert one.deployable is not None
    return one.deployable.weights


def test_the_loop_feeds_masks_of_the_layers_rate(toy: Prepared) -> None:
    """Another rate is another model: with masks of ones, or of one rate, all would be the same."""
    first = [trained(toy, rate)["bottom.0.weight"] for rate in (0.0, 0.3, 0.6)]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    assert torch.equal(first[1], trained(toy, 0.3)["bottom.0.weight"])


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(3, 5, 4), (700, 191, 96), (512, 128, 160)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_torchs_own(rows: int, inputs: int, outputs: int, bias: bool) -> None:
    """Small and large, rows of whole vectors and others: values and gradients."""
    draws = torch.Generator().manual_seed(0)
    ours, own = Linear(inputs, outputs, bias=bias), torch.nn.Linear(inputs, outputs, bias=bias)
    own.load_state_dict(ours.state_dict())
    x = torch.randn(rows, inputs, generator=draws, requires_grad=True)
    up = torch.randn(rows, outputs, generator=draws) / rows
    found = [torch.autograd.grad(layer(x), [x, *layer.parameters()], up) for layer in (ours, own)]
    assert_close(ours(x), own(x))
    for mine, theirs in zip(*found, strict=True):
        assert_close(mine, theirs)
        assert mine.is_contiguous()


def test_batch_normalisation_is_torchs_own_but_for_a_row_alone() -> None:
    ours, own = BatchNorm(4), torch.nn.BatchNorm1d(4)
    for seed in range(3):
        x = 3 + 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(seed))
        assert_close(ours(x), own(x))
    assert_close(ours.mean, own.running_mean)
    assert_close(ours.variance, own.running_var)
    before = ours.mean.clone(), ours.variance.clone()
    with torch.no_grad():
        ours.bias.fill_(7)
    assert_close(ours(torch.randn(1, 4)), torch.full((1, 4), 7.0))
    assert_close((ours.mean, ours.variance), before)
    assert_close(ours.eval()(x) - 7, own.eval()(x))
