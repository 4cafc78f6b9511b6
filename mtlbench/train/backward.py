"""Turn task losses into the gradient of a step, as the kind of balancer requires.

    loss        one backward pass through the weighted sum of the losses
    gram        one per task; on shared parameters the gradients get weights computed from their Gram matrix
    jacobian    one per task; on shared parameters the balancer combines the gradients into one

The latter two cost K backward passes for K tasks, plus one if the method has a penalty, which no balancer
weights. Shared parameters are read off the autograd graph: those that the losses of at least two tasks reach.
No method declares them, so none can declare them wrongly. A single task has nothing to mix with: its weight
is 1, except that a loss balancer is still asked for its weight.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlbench.balancing.base import Balancer, GramBalancer, Jacobian, JacobianBalancer
from mtlbench.errors import UsageError

Gradients = Sequence[Tensor | None]
"""Gradients of one loss, one per leaf; None for a leaf that the loss does not reach."""


def backward(
    balancer: Balancer,
    losses: Sequence[Tensor],
    penalties: Tensor,
    dense: Sequence[Tensor],
    embedded: Sequence[Tensor],
) -> Tensor:
    """Compute the gradient of the step and store it in `grad` of the leaves.

    Args:
        balancer: its kind decides how.
        losses: one per task, (replica,) each.
        penalties: (replica,), added with weight 1.
        dense: parameters of all replicas, (replica, ...) each.
        embedded: looked-up rows of each embedding table, (replica, batch, column, dim).

    Returns:
        The weights (replica, task) used on shared parameters; NaN if the balancer mixes without weights.

    Raises:
        UsageError: the balancer mixes gradients, and no parameter is shared.
    """
    values = torch.stack([loss.detach() for loss in losses], dim=1)
    if not isinstance(balancer, GramBalancer) or len(losses) == 1:
        mixes = isinstance(balancer, GramBalancer)
        weights = torch.ones_like(values) if mixes else balancer.weights(values)
        weighted = torch.stack(list(losses), dim=1) * weights
        torch.autograd.backward(weighted.sum() + penalties.sum())
        return weights

    leaves = [*dense, *embedded]
    of_task, shared = reach(losses, leaves)
    of_penalty: Gradients = [None] * len(leaves)
    if penalties.requires_grad:
        of_penalty = torch.autograd.grad(penalties.sum(), leaves, allow_unused=True)
    if not shared:
        raise UsageError(
            "no parameter is shared between tasks, so there are no task gradients to mix; use a balancer "
            "that weighs losses, or equal"
        )
    jacobian = Jacobian(
        tuple(_stacked(of_task, i) for i in shared if i < len(dense)),
        tuple(_stacked(of_task, i) for i in shared if i >= len(dense)),
    )
    if isinstance(balancer, JacobianBalancer):
        weights = torch.full_like(values, torch.nan)
        mixed = balancer.combine(values, jacobian)
    else:
        weights = balancer.weights(values, jacobian.gram())
        mixed = [torch.einsum("rk,rk...->r...", weights, part) for part in jacobian]
    own = balancer.own_weights(values)
    for i, leaf in enumerate(leaves):
        parts = [g for g in (of_penalty[i],) if g is not None]
        if i in shared:
            parts.append(mixed[shared.index(i)])
        else:
            column = (-1, *[1] * (leaf.dim() - 1))
            gradients = ((own[:, k].view(column), g[i]) for k, g in enumerate(of_task))
            parts += [weight * gradient for weight, gradient in gradients if gradient is not None]
        if parts:
            total = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
            # `autograd.grad` may return a transposed view, and the fused Adam of a CPU reads memory in order.
            leaf.grad = total.contiguous()
    return weights


def reach(losses: Sequence[Tensor], leaves: Sequence[Tensor]) -> tuple[list[Gradients], list[int]]:
    """Return the gradients of each loss on the leaves, and the leaves that at least two losses reach.

    An empty leaf, such as the embedding of no fields, is not shared.
    """
    of_task: list[Gradients] = [
        torch.autograd.grad(one.sum(), leaves, retain_graph=True, allow_unused=True) for one in losses
    ]
    reached = [[g for g in column if g is not None] for column in zip(*of_task, strict=True)]
    return of_task, [i for i, gradients in enumerate(reached) if len(gradients) > 1 and leaves[i].numel()]


def _stacked(of_task: Sequence[Gradients], leaf: int) -> Tensor:
    """Stack the tasks' gradients on one leaf, (replica, task, ...); 0 for a task that does not reach it."""
    gradients = [g[leaf] for g in of_task]
    like = next(g for g in gradients if g is not None)
    return torch.stack([torch.zeros_like(like) if g is None else g for g in gradients], dim=1)
