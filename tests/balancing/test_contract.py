"""What every registered balancer owes, so that a new one is covered at once."""

import random
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.testing import assert_close

from mtlbench.balancing.base import Balancer, GramBalancer, Jacobian, JacobianBalancer
from mtlbench.config import Benchmark, RunSpec, TrainingSettings, fill
from mtlbench.experiment.grid import plan
from mtlbench.load import Prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.train.backward import backward
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from mtlbench.train.optimiser import StackedAdam
from tests.balancing.toys import LOADED, drawn_jacobian, drawn_losses, make, step

STEPS = 4
SEEDS = (0, 1, 2)
GRAM = [n for n, c in LOADED.items() if issubclass(c, GramBalancer) and not issubclass(c, JacobianBalancer)]
MIXING = [n for n, c in LOADED.items() if issubclass(c, GramBalancer)]
COURSE = [n for n, c in LOADED.items() if c.kind == "loss" or n == "gradnorm"]
"""Those that look at the losses, and learn from their course."""
Said = list[list[Tensor]]
"""Of each step all that a balancer said."""


@pytest.fixture(params=LOADED)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def of(replicas: Sequence[int], jacobian: Jacobian) -> Jacobian:
    chosen = list(replicas)
    return Jacobian(*(tuple(p[chosen] for p in parts) for parts in (jacobian.dense, jacobian.embedded)))


def scenes(tasks: int = 3, steps: int = STEPS) -> list[tuple[Tensor, Jacobian]]:
    """Losses and gradients of three replicas, step by step."""
    losses = drawn_losses(steps, len(SEEDS), tasks)
    return [(loss, drawn_jacobian(len(SEEDS), tasks, seed=i)) for i, loss in enumerate(losses)]


def run(name: str, seeds: Sequence[int] = SEEDS, tasks: int = 3) -> Said:
    """A balancer of the replicas `seeds`, over all steps."""
    balancer = make(name, tasks=tasks, seeds=seeds)
    return [step(balancer, losses[list(seeds)], of(seeds, jacobian)) for losses, jacobian in scenes(tasks)]


def assert_same(one: Said, other: Said, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("tasks", [2, 3, 6])
def test_weights_have_the_shape_of_losses_and_gradients_that_of_parameters(name: str, tasks: int) -> None:
    for said in run(name, tasks=tasks):
        shapes = [[3, tasks]] * len(said)
        if name not in GRAM and name in MIXING:
            shapes = [[3, 3, 4], [3, 5], [3, 6, 2, 2], [3, tasks]]
        assert [list(one.shape) for one in said] == shapes
        assert all(one.isfinite().all() for one in said)


def test_one_task_alone_begins_with_weight_one_and_the_losses_after_are_taken(name: str) -> None:
    """But for uncertainty, whose scale begins with 1/2."""
    balancer, parameter = make(name, tasks=1, seeds=(0, 1)), torch.ones(2, 3, requires_grad=True)
    weights = backward(balancer, [parameter.square().sum(dim=1)], torch.zeros(2), [parameter], [])
    assert_close(weights, torch.full((2, 1), 0.5 if name == "uncertainty" else 1.0))
    assert_close(parameter.grad, 2 * weights * parameter.detach())
    if balancer.wants_after:
        balancer.after(torch.ones(2, 1))


def without_first(losses: Tensor, jacobian: Jacobian) -> tuple[Tensor, Jacobian]:
    """The same step where no row of the batch has a label of the first task."""
    parts = [_scaled(part, 0, 0.0) for part in jacobian]
    return losses * (torch.arange(losses.shape[1]) > 0), Jacobian((parts[0], parts[1]), (parts[2],))


def of_the_others(losses: Tensor, jacobian: Jacobian) -> tuple[Tensor, Jacobian]:
    """The same step where there is no first task."""
    parts = [part[:, 1:] for part in jacobian]
    return losses[:, 1:], Jacobian((parts[0], parts[1]), (parts[2],))


@pytest.mark.parametrize("name", [n for n in COURSE if n != "rlw"])
def test_a_task_absent_from_the_batches_leaves_the_others_what_they_are_among_themselves(name: str) -> None:
    """But for rlw, which draws for it too."""
    three, two = make(name, tasks=3, seeds=SEEDS), make(name, tasks=2, seeds=SEEDS)
    for scene in scenes(steps=8):
        with_it, without = step(three, *without_first(*scene)), step(two, *of_the_others(*scene))
        for weights, theirs in zip(with_it, without, strict=True):
            assert_close(weights[:, 1:], theirs)


@pytest.mark.parametrize("name", [n for n in COURSE if n != "rlw"])
def test_batches_without_a_row_of_any_task_leave_what_was_learned(name: str) -> None:
    gaps, none = (make(name, tasks=3, seeds=SEEDS) for _ in range(2))
    for losses, jacobian in scenes(steps=8):
        nothing = Jacobian(*(tuple(0 * p for p in parts) for parts in (jacobian.dense, jacobian.embedded)))
        assert all(said.isfinite().all() for said in step(gaps, 0 * losses, nothing))
        assert_same([step(gaps, losses, jacobian)], [step(none, losses, jacobian)], rtol=0, atol=0)


def test_a_replica_in_a_stack_is_what_it_is_alone(name: str) -> None:
    together = run(name)
    for replica in SEEDS:
        assert_same([[part[[replica]] for part in said] for said in together], run(name, (replica,)))


def test_a_replica_that_is_kept_goes_on_as_if_alone(name: str) -> None:
    balancer = make(name, tasks=3, seeds=SEEDS)
    kept = [0, 1, 2]
    said: Said = []
    for i, (losses, jacobian) in enumerate(scenes()):
        if i == 2:
            kept = [0, 2]
            balancer.keep(torch.tensor(kept))
        said.append(step(balancer, losses[kept], of(kept, jacobian)))
    for replica in (0, 2):
        own = [[part[[replica]] for part in one] for one in said[:2]]
        own += [[part[[kept.index(replica)]] for part in one] for one in said[2:]]
        assert_same(own, run(name, (replica,)))


def test_same_seed_same_numbers(name: str) -> None:
    assert_same(run(name), run(name), rtol=0, atol=0)


def test_global_generators_neither_matter_nor_move(name: str) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # type: ignore[index]
    first = run(name)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # type: ignore[index]
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]
    torch.manual_seed(12)
    assert_same(run(name), first, rtol=0, atol=0)


def test_what_was_said_of_a_step_stays_as_it_was_and_so_does_what_was_given(name: str) -> None:
    """The loop averages the weights of many steps; a balancer must not go on writing into them."""
    balancer, seen = make(name, tasks=3, seeds=SEEDS), scenes()
    kept, copies = [], []
    for losses, jacobian in seen:
        kept.append(step(balancer, losses, jacobian))
        copies.append([part.clone() for part in kept[-1]])
    assert_same(kept, copies, rtol=0, atol=0)
    for (losses, jacobian), (same, jacobian_too) in zip(seen, scenes(), strict=True):
        assert_close([losses, *jacobian], [same, *jacobian_too], rtol=0, atol=0)


@pytest.mark.parametrize("mixing", MIXING)
@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1.0, 3.0, 0.2)])
def test_tasks_that_agree_are_given_their_scaled_sum(mixing: str, scales: tuple[float, ...]) -> None:
    """Gradients c_k g of one g: the update is g, scaled by a number above 0, the same everywhere."""
    balancer = make(mixing, tasks=3, seeds=SEEDS)
    direction = drawn_jacobian(len(SEEDS), 1)
    column = torch.tensor(scales)
    parts = [part * column.view(1, 3, *[1] * (part.dim() - 2)) for part in direction]
    jacobian = Jacobian((parts[0], parts[1]), (parts[2],))
    wanted = torch.cat([part.flatten(start_dim=1) for part in direction], dim=1)
    for _ in range(2):
        said = step(balancer, drawn_losses(len(SEEDS), 3), jacobian)
        mixed = said[:-1]
        if mixing in GRAM:
            mixed = [torch.einsum("rk,rk...->r...", said[0], part) for part in parts]
        update = torch.cat([part.flatten(start_dim=1) for part in mixed], dim=1)
        assert_close(torch.cosine_similarity(update, wanted), torch.ones(len(SEEDS)))


HARD: dict[str, Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]] = {
    "a loss and its gradient are 0": lambda losses, parts: (
        losses * torch.tensor([0.0, 1, 1]),
        [_scaled(part, 0, 0.0) for part in parts],
    ),
    "all losses and gradients are 0": lambda losses, parts: (0 * losses, [0 * part for part in parts]),
    "a gradient is 0": lambda losses, parts: (losses, [_scaled(part, 1, 0.0) for part in parts]),
    "a loss is 1e8 times the others": lambda losses, parts: (
        losses * torch.tensor([1.0, 1, 1e8]),
        [_scaled(part, 2, 1e8) for part in parts],
    ),
    "a loss is 1e-8 of the others": lambda losses, parts: (
        losses * torch.tensor([1.0, 1e-8, 1]),
        [_scaled(part, 1, 1e-8) for part in parts],
    ),
    "two gradients cancel": lambda losses, parts: (
        losses,
        [torch.stack([part[:, 0], -part[:, 0], part[:, 2]], dim=1) for part in parts],
    ),
}


def _scaled(part: Tensor, task: int, scale: float) -> Tensor:
    column = torch.ones(part.shape[1])
    column[task] = scale
    return part * column.view(1, -1, *[1] * (part.dim() - 2))


@pytest.mark.parametrize("case", HARD)
def test_it_stays_finite_where(name: str, case: str) -> None:
    balancer = make(name, tasks=3, seeds=SEEDS)
    for i, (losses, jacobian) in enumerate(scenes(steps=6)):
        if i % 2 == 0:
            losses, parts = HARD[case](losses, list(jacobian))
            jacobian = Jacobian((parts[0], parts[1]), (parts[2],))
        assert all(part.isfinite().all() for part in step(balancer, losses, jacobian))


@pytest.mark.parametrize("gram", GRAM)
def test_rescaled_weights_sum_to_the_number_of_tasks_and_are_else_the_same(gram: str) -> None:
    scaled, plain = (make(gram, tasks=3, seeds=SEEDS, rescale=rescale) for rescale in (True, False))
    for losses, jacobian in scenes():
        weights, own = step(scaled, losses, jacobian)[0], step(plain, losses, jacobian)[0]
        total = own.sum(dim=1, keepdim=True)
        assert (total > 0).all()
        assert_close(weights.sum(dim=1), torch.full((len(SEEDS),), 3.0))
        assert_close(weights, 3 * own / total)


def trained(prepared: Prepared, cls: type[Balancer]) -> None:
    """Two replicas of a small net; fails unless all that both have moved and stayed finite."""
    plan = Blueprint.of(HardSharing, HardSharing.Config(network=(8, 4), tower=(3,)), prepared)
    replicas = [plan.replicas(seed)[0] for seed in (0, 1)]
    draws = [Generator().manual_seed(seed) for seed in (0, 1)]
    balancer = cls(prepared.schema.task_names, [cls.Config()] * 2, draws)
    settings = TrainingSettings(epochs=1, batch_rows=64, evaluations_per_epoch=1)
    outcomes = train(plan, balancer, settings, replicas, prepared, torch.device("cpu"), lambda rows: None)
    for outcome in outcomes:
        assert outcome.failure is None
        assert outcome.deployable is not None
        untrained = plan.build(outcome.replica).state_dict()
        for parameter, first in untrained.items():
            if first.is_floating_point():
                last = outcome.deployable.weights[parameter]
                assert last.isfinite().all()
                assert not torch.equal(last, first), parameter


def test_a_network_trains_with_it(toy: Prepared, name: str) -> None:
    make(name)  # skips what is not installed
    trained(toy, LOADED[name])


@pytest.mark.parametrize("wanting", [n for n, c in LOADED.items() if c.wants_after])
def test_losses_after_are_told_after_the_step(
    toy: Prepared, wanting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def spied(owner: type[Any], method: str) -> None:
        real = getattr(owner, method)

        def spy(*args: Any, **kwargs: Any) -> Any:
            calls.append(method)
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, method, spy)

    cls = LOADED[wanting]
    spied(cls, "weights")
    spied(cls, "after")
    spied(StackedAdam, "step")
    trained(toy, cls)
    steps = 600 // 64
    assert calls == ["weights", "step", "after"] * steps


def test_only_who_has_a_use_for_losses_after_asks_for_a_second_forward_pass(name: str) -> None:
    cls = LOADED[name]
    assert cls.wants_after == (cls.after is not Balancer.after)


WAITS = ("item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__float__", "__int__")


def test_what_waits_for_the_device_at_each_step_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`syncs` is declared exactly where a step, once it has its options, takes a number to the host."""
    balancer, waited = make(name, tasks=3, seeds=SEEDS), []
    (first, second, *_) = scenes()
    step(balancer, *first)
    for method in WAITS:
        real = getattr(Tensor, method)

        def spy(*args: Any, method: str = method, real: Callable[..., Any] = real, **kwargs: Any) -> Any:
            waited.append(method)
            return real(*args, **kwargs)

        monkeypatch.setattr(Tensor, method, spy)
    step(balancer, *second)
    monkeypatch.undo()
    assert bool(waited) == balancer.syncs, sorted(set(waited))


def test_options_are_frozen_have_defaults_and_are_told_in_the_docstring(name: str) -> None:
    config = LOADED[name].Config()
    assert is_dataclass(config)
    for field in fields(config):
        with pytest.raises(FrozenInstanceError):
            setattr(config, field.name, None)
        told = "".join(cls.__doc__ or "" for cls in LOADED[name].Config.__mro__[:-1])
        assert f"{field.name}:" in told


def test_a_raised_revision_is_another_run(toy: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def planned() -> RunSpec:
        arm = {"method": "hard-sharing", "balancer": "gls"}
        benchmark = fill(Benchmark, {"seeds": 1, "run": [arm]}, "a benchmark")
        return plan(benchmark, toy.schema, toy.fingerprint)[0][0]

    before = planned()
    assert before.revision["balancer"] == LOADED["gls"].revision
    monkeypatch.setattr(LOADED["gls"], "revision", LOADED["gls"].revision + 1)
    assert planned().revision["balancer"] == LOADED["gls"].revision
    assert planned().hash != before.hash
