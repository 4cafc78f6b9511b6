"""Trace norm is what its paper says."""

import pytest
import torch
from torch import Tensor
from torch.linalg import matrix_norm
from torch.testing import assert_close

from mtlbench.methods.embedding_sharing import EmbeddingSharing
from mtlbench.methods.trace_norm import TraceNorm, TraceNormConfig, trace_norm
from mtlbench.train.blueprint import Weights
from tests.methods.toys import TASKS, build, dropping, toy_inputs

LAYERS = ("bottom.0.weight", "bottom.3.weight")


def columns(weights: Weights, layer: str) -> Tensor:
    """(weight, task): a column a task, as the paper has them."""
    return torch.stack([weights[f"models.{t.name}.{layer}"].flatten() for t in TASKS], dim=1)


def test_penalty_is_the_trace_norm_of_each_layer_with_a_column_a_task() -> None:
    """By a singular value decomposition of the tall matrix instead of the Gram matrix's eigenvalues."""
    model = build(TraceNorm, strength=0.5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    weights: Weights = dict(model.state_dict())
    expected = sum(matrix_norm(columns(weights, layer), ord="nuc").item() for layer in LAYERS)
    assert model.penalty(toy_inputs()).item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_interactions_are_layers_below_the_towers_too() -> None:
    layers = ("features.crosses.0.weight", "features.crosses.1.weight", *LAYERS)
    model = build(TraceNorm, strength=0.5, interaction="cross")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    weights: Weights = dict(model.state_dict())
    expected = sum(matrix_norm(columns(weights, layer), ord="nuc").item() for layer in layers)
    assert model.penalty(toy_inputs()).item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_gradient_is_that_of_the_singular_values() -> None:
    weights = torch.randn(3, 20, dtype=torch.float64, requires_grad=True)
    (ours,) = torch.autograd.grad(trace_norm(weights), weights)
    (theirs,) = torch.autograd.grad(matrix_norm(weights, ord="nuc"), weights)
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_at_one_draw_for_all_tasks_the_gradient_shrinks_them_alike() -> None:
    """Of rank 1 with K equal rows w: the norm is sqrt(K) |w|, its gradient w / (sqrt(K) |w|) a row."""
    w = torch.linspace(-1, 2, 50)
    weights = w.repeat(4, 1).requires_grad_()
    norm = trace_norm(weights)
    torch.autograd.backward(norm)
    assert norm.item() == pytest.approx(2 * w.norm().item(), rel=1e-3)
    assert weights.grad is not None
    assert_close(weights.grad, (w / (2 * w.norm())).expand(4, -1), rtol=1e-3, atol=1e-4)


def test_gradient_is_finite_where_nothing_is_left() -> None:
    weights = torch.zeros(3, 8, requires_grad=True)
    torch.autograd.backward(trace_norm(weights))
    assert_close(weights.grad, torch.zeros(3, 8))


def test_towers_and_biases_are_free() -> None:
    model = build(TraceNorm)
    torch.autograd.backward(model.penalty(toy_inputs()))
    held = {name.partition("click.")[2] for name, p in model.named_parameters() if p.grad is not None}
    assert held - {""} == set(LAYERS)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_without_penalty_it_is_embedding_sharing(dropout: float) -> None:
    free, sharing = build(TraceNorm, strength=0.0, dropout=dropout), build(EmbeddingSharing, dropout=dropout)
    inputs = toy_inputs()
    assert_close(free.state_dict(), sharing.state_dict(), rtol=0, atol=0)
    assert_close(dropping(free)(inputs), dropping(sharing)(inputs), rtol=0, atol=0)
    assert free.penalty(inputs).item() == 0


def spread(strength: float) -> float:
    """The singular values after the first, as a share of it, once the tasks have learned different things."""
    model, inputs = build(TraceNorm, strength=strength), toy_inputs(rows=30)
    labels = torch.rand(30, 3, generator=torch.Generator().manual_seed(1)).round()
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        losses = model.losses(model(inputs), labels)
        adam.zero_grad()
        torch.autograd.backward([*losses.values(), model.penalty(inputs)])
        adam.step()
    values = torch.linalg.svdvals(columns(dict(model.state_dict()), LAYERS[0]))
    return float(values[1:].sum() / values[0])


def test_a_strong_penalty_keeps_the_rank_low() -> None:
    assert spread(0.05) < 0.3 * spread(0.0)


def test_a_negative_strength_is_refused() -> None:
    with pytest.raises(ValueError, match="strength = -1"):
        TraceNormConfig(strength=-1)
