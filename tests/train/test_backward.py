"""The gradient of a step, kind by kind: what is shared, what it costs, what weight 1 a task comes to."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from mtlbench.balancing.base import (
    Balancer,
    GramBalancer,
    Jacobian,
    JacobianBalancer,
    MixOptions,
    NoOptions,
    rescaled,
)
from mtlbench.balancing.equal import Equal
from mtlbench.balancing.static import Static, StaticConfig
from mtlbench.config import TrainingSettings
from mtlbench.errors import UsageError
from mtlbench.load import Prepared
from mtlbench.train.backward import backward
from mtlbench.train.blueprint import Blueprint, Weights
from mtlbench.train.loop import train
from tests.balancing.gradients import MIXERS
from tests.methods.toys import NETWORKS

CPU = torch.device("cpu")


class Ones(GramBalancer):
    """Weight 1 a task, by way of the Gram matrix."""

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        assert_close(gram, gram.mT)
        return torch.ones_like(losses)


class Summed(JacobianBalancer):
    """The sum of the gradients, by way of the Jacobian."""

    def combine(self, losses: Tensor, jacobian: Jacobian) -> list[Tensor]:
        return [part.sum(dim=1) for part in jacobian]


def trained(prepared: Prepared, method: str, balancer: type[Balancer], **options: Any) -> list[Weights]:
    cls = NETWORKS[method]
    plan = Blueprint.of(cls, cls.Config(network=(8, 4), tower=(3,), **options), prepared)
    balance = balancer(prepared.schema.task_names, [balancer.Config()] * 2)
    settings = TrainingSettings(epochs=1, batch_rows=64)
    replicas = [plan.replicas(seed)[0] for seed in (0, 1)]
    outcomes = train(plan, balance, settings, replicas, prepared, CPU, lambda rows: None)
    return [o.deployable.weights for o in outcomes if o.deployable]


@pytest.mark.parametrize("kind", [Ones, Summed])
@pytest.mark.parametrize("method", ["hard-sharing", "mmoe", "embedding-sharing"])
def test_weight_one_on_every_task_gradient_is_equal_weights(
    toy: Prepared, method: str, kind: type[Balancer]
) -> None:
    """Whichever way the gradient is made, with dropout and batch normalisation too."""
    options = {"dropout": 0.2, "norm": "batch"}
    mixed, plain = trained(toy, method, kind, **options), trained(toy, method, Equal, **options)
    assert_close(mixed, plain, rtol=1e-4, atol=1e-5)


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    """A parameter that both tasks reach and one each, of two replicas."""
    shared, first, second = (torch.tensor([[1.0, 2.0], [3.0, 4.0]]) + i for i in range(3))
    return shared.requires_grad_(), first.requires_grad_(), second.requires_grad_()


def losses_of(shared: Tensor, first: Tensor, second: Tensor) -> list[Tensor]:
    return [(shared * first).sum(dim=1), (shared.square() * second).sum(dim=1)]


class Given(GramBalancer):
    """Weights 2 and 5 on what is shared, 1 and 3 on the tasks' own."""

    seen: Tensor

    def mix(self, losses: Tensor, gram: Tensor) -> Tensor:
        self.seen = gram
        return torch.tensor([[2.0, 5.0]]).expand_as(losses)

    def own_weights(self, losses: Tensor) -> Tensor:
        return torch.tensor([[1.0, 3.0]]).expand_as(losses)


def test_gradients_and_gram_matrix_by_hand() -> None:
    shared, first, second = leaves()
    penalties = shared.sum(dim=1)
    balancer = Given(("a", "b"), [MixOptions(rescale=False)] * 2)
    weights = backward(balancer, losses_of(shared, first, second), penalties, (shared, first, second), ())
    one, other = first.detach(), (2 * shared * second).detach()
    assert_close(weights, torch.tensor([[2.0, 5.0]] * 2))
    assert_close(shared.grad, 2 * one + 5 * other + 1)
    assert_close(first.grad, shared.detach())
    assert_close(second.grad, 3 * shared.detach().square())
    for r in range(2):
        rows = torch.stack([one[r], other[r]])
        assert_close(balancer.seen[r], rows @ rows.T)


def test_weights_are_rescaled_to_sum_to_the_number_of_tasks() -> None:
    shared, first, second = leaves()
    balancer = Given(("a", "b"), [MixOptions()] * 2)
    weights = backward(
        balancer, losses_of(shared, first, second), torch.zeros(2), (shared, first, second), ()
    )
    assert_close(weights, torch.tensor([[4 / 7, 10 / 7]] * 2))


def test_negative_weights_are_held_by_their_sizes() -> None:
    """Where the sum is as good as 0, a scale that makes it K would make the step endless."""
    weights = torch.tensor([[1.0, -0.999999], [-1.0, -3.0], [0.0, 0.0]])
    scaled = rescaled(weights, torch.ones(3, 1))
    assert_close(scaled, torch.tensor([[1.0, -1.0], [-0.5, -1.5], [0.0, 0.0]]))
    assert_close(rescaled(weights, torch.zeros(3, 1)), weights)


@pytest.mark.parametrize("penalised", [False, True])
def test_it_costs_a_backward_pass_a_task_and_one_for_a_penalty(
    monkeypatch: pytest.MonkeyPatch, penalised: bool
) -> None:
    passes: list[Sequence[Tensor]] = []
    real = torch.autograd.grad

    def counting(*args: Any, **kwargs: Any) -> Any:
        passes.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counting)
    shared, first, second = leaves()
    penalties = shared.sum(dim=1) if penalised else torch.zeros(2)
    backward(Ones(("a", "b"), [MixOptions()] * 2), losses_of(shared, first, second), penalties, (shared,), ())
    assert len(passes) == 2 + penalised


@pytest.mark.parametrize("name", MIXERS)
def test_no_registered_balancer_costs_more_than_a_backward_pass_a_task_and_one(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whichever way it asks autograd; what its solver costs is its own."""
    passes: list[str] = []
    for way in ("grad", "backward"):
        real = getattr(torch.autograd, way)

        def counting(*args: Any, way: str = way, real: Callable[..., Any] = real, **kwargs: Any) -> Any:
            passes.append(way)
            return real(*args, **kwargs)

        monkeypatch.setattr(torch.autograd, way, counting)
    cls, (shared, first, second) = MIXERS[name], leaves()
    balancer = cls(("a", "b"), [cls.Config()] * 2)
    for _ in range(3):
        passes.clear()
        penalties = shared.square().sum(dim=1)
        backward(balancer, losses_of(shared, first, second), penalties, (shared, first, second), ())
        assert 2 <= len(passes) <= 2 + 1


def test_without_anything_shared_there_is_nothing_to_mix() -> None:
    _, first, second = leaves()
    with pytest.raises(UsageError, match="no parameter is shared"):
        backward(
            Ones(("a", "b"), [MixOptions()] * 2),
            [first.sum(dim=1), second.sum(dim=1)],
            torch.zeros(2),
            (first, second),
            (),
        )


def test_one_task_alone_has_its_static_weight() -> None:
    """Weights are used as given, whatever stands beside them."""
    shared, first, _ = leaves()
    given = [StaticConfig(weights={"a": 5.0}), StaticConfig()]
    weights = backward(
        Static(("a",), given), [(shared * first).sum(dim=1)], torch.zeros(2), (shared, first), ()
    )
    assert_close(weights, torch.tensor([[5.0], [1.0]]))
    assert_close(shared.grad, weights * first.detach())


def test_one_task_alone_with_nothing_to_mix_has_weight_one() -> None:
    shared, first, _ = leaves()
    weights = backward(
        Ones(("a",), [MixOptions()] * 2), [(shared * first).sum(dim=1)], torch.zeros(2), (shared, first), ()
    )
    assert_close(weights, torch.ones(2, 1))
    assert_close(shared.grad, first.detach())


def test_loss_weights_reach_everything() -> None:
    shared, first, second = leaves()
    backward(
        Equal(("a", "b"), [NoOptions()] * 2),
        losses_of(shared, first, second),
        torch.zeros(2),
        (shared, first, second),
        (),
    )
    assert_close(shared.grad, (first + 2 * shared * second).detach())
    assert_close(second.grad, shared.detach().square())
