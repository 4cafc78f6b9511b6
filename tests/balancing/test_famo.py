"""FAMO: first step by hand, who gains weight, torchjd's over many updates, what it is told in training."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlbench.balancing.base import Balancer
from mtlbench.balancing.equal import Equal
from mtlbench.balancing.famo import FAMO, FAMOConfig
from mtlbench.config import TrainingSettings
from mtlbench.load import Prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.matrices import Batch, Matrices
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.stack import Stack
from mtlbench.train.step import take_step
from tests.balancing.toys import drawn_losses, gradient, make


def test_first_two_steps_by_hand() -> None:
    """At L = (1, 3) z = (1/2, 1/2), c = 3/2, w = (3/4, 1/4). The first loss halves: xi = (-.025, .025)."""
    balancer = make("famo")
    assert_close(balancer.weights(torch.tensor([[1.0, 3.0]])), torch.tensor([[0.75, 0.25]]))
    balancer.after(torch.tensor([[0.5, 3.0]]))
    z = torch.tensor([[-0.025, 0.025]]).softmax(dim=1)
    assert_close(balancer.weights(torch.ones(1, 2)), z)


def test_torchjd_gives_the_same_weights_over_many_updates() -> None:
    scalarization = pytest.importorskip("torchjd.scalarization")
    balancer, theirs = make("famo", tasks=4), scalarization.FAMO(4, lr=0.025, weight_decay=1e-3)
    for before, after in drawn_losses(30, 2, 4):
        assert_close(balancer.weights(before.unsqueeze(0))[0], gradient(theirs, before))
        balancer.after(after.unsqueeze(0))
        theirs.update(after)


def test_weight_goes_from_the_tasks_that_fall_faster_to_those_that_fall_slower() -> None:
    balancer = make("famo", tasks=3)
    for losses in drawn_losses(10, 1, 3):
        weights = balancer.weights(losses) * losses
        balancer.after(losses * torch.tensor([0.5, 0.9, 1.1]))
    shares = (weights / weights.sum())[0].tolist()
    assert shares[0] < 0.3
    assert shares[0] < shares[1] < shares[2]


def test_after_a_while_an_absent_task_is_left_out_and_finds_its_logit_as_it_was() -> None:
    """The weights of the others stand to one another as they did, and sum to 1."""
    balancer, fall = make("famo", tasks=3), torch.tensor([0.5, 0.9, 1.1])
    for losses in drawn_losses(10, 1, 3):
        balancer.weights(losses)
        balancer.after(losses * fall)
    xi = balancer.remember("xi", lambda: torch.empty(0))
    losses, kept = torch.tensor([[0.3, 0.2, 0.0]]), xi.clone()
    shares = (kept.softmax(dim=1) / torch.tensor([[0.3, 0.2, torch.inf]]))[0]
    assert_close(balancer.weights(losses)[0], shares / shares.sum())
    balancer.after(losses * fall)
    assert xi[0, 2] == kept[0, 2]
    assert (xi[0, :2] != kept[0, :2]).all()


class Told(FAMO):
    """Notes what it is told."""

    losses: Tensor

    def after(self, losses: Tensor) -> None:
        self.losses = losses
        super().after(losses)


def a_step(prepared: Prepared, cls: type[Balancer], rate: float) -> tuple[Stack, Balancer, Batch, Tensor]:
    """One step of a net with dropout and batch normalisation, and the losses that it saw."""
    config = HardSharing.Config(network=(8,), tower=(3,), dropout=0.5, norm="batch")
    plan = Blueprint.of(HardSharing, config, prepared)
    stack = Stack(plan, [plan.replicas(seed)[0] for seed in (0, 1)], torch.device("cpu"))
    batch = Matrices.of(prepared.open_split("train"), stack.layout, stack.device).batch(
        torch.arange(128).view(2, 64)
    )
    balancer = cls(prepared.schema.task_names, [cls.Config()] * 2)
    optimiser = StackedAdam(stack, TrainingSettings(learning_rate=rate))
    before, _ = take_step(stack, balancer, optimiser, batch, 7)
    return stack, balancer, batch, before


def test_in_training_it_is_told_the_losses_after_the_step_on_the_same_rows(toy: Prepared) -> None:
    stack, balancer, batch, before = a_step(toy, Told, rate=0.05)
    again, _ = stack.losses(batch, stack.look_up(batch.ids), 7, learning=False)
    assert isinstance(balancer, Told)
    assert_close(balancer.losses, torch.stack(again, dim=1).detach())
    assert ((balancer.losses - before).abs() > 1e-3).all()


def test_in_training_dropout_masks_are_the_same_before_and_after(toy: Prepared) -> None:
    """A step too short to move anything leaves the losses where they are."""
    _, balancer, _, before = a_step(toy, Told, rate=1e-12)
    assert isinstance(balancer, Told)
    assert_close(balancer.losses, before)


def test_in_training_the_second_look_leaves_running_figures_alone(toy: Prepared) -> None:
    told, plain = (a_step(toy, cls, rate=1e-12)[0].buffers for cls in (Told, Equal))
    assert told
    assert_close(told, plain)


@pytest.mark.parametrize("wrong", [{"learning_rate": -1.0}, {"decay": math.inf}])
def test_options_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FAMOConfig(**wrong)
