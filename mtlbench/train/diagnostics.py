"""What a look inside a network finds: gates, dead units, how the tasks' gradients agree.

    probe       how many rows it was at, and of each task how many have a label and how many are positive

    gates       of what `Method.gate_shares` says: mean entropy over log(experts that the task can see), mean
                share of each, and between tasks 1 - Jensen-Shannon divergence (base 2), averaged over rows
    dead units  share of the outputs of hidden layers that are 0 on every row
    gradients   of each task's loss on what the losses of two tasks or more reach: lengths, cosines, and the
                share of pairs of tasks that point apart; dense parameters and embeddings by themselves
    affinity    Z[i, j] = 1 - L_j(theta - eta grad L_i) / L_j(theta), theta what is shared, eta the learning
                rate: by how much a step for task i alone lowers the loss of task j. Fifty et al.,
                "Efficiently Identifying Task Groupings for Multi-Task Learning", NeurIPS 2021.
                https://arxiv.org/abs/2109.04617

Numbers are as JSON has them: plain, rounded, None if undefined.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

DIGITS = 6


def dead_units(alive: Mapping[str, Tensor]) -> dict[str, Any]:
    """The share over all layers, and of each network (the module that a layer is in) that has dead units."""
    networks: dict[str, list[Tensor]] = {}
    for layer, units in alive.items():
        networks.setdefault(layer.rpartition(".")[0], []).append(~units)
    shares = {name: plain(torch.cat(dead).float().mean()) for name, dead in networks.items()}
    every = torch.cat([~units for units in alive.values()])
    return {
        "share": plain(every.float().mean()),
        "units": every.numel(),
        "parts": {name: share for name, share in shares.items() if share},
    }


def gates(shares: Mapping[str, Tensor]) -> dict[str, Any]:
    """What gates choose, from task -> (row, expert) shares that sum to 1 a row, NaN where it sees none."""
    taken = {task: share.nan_to_num() for task, share in shares.items()}
    entropies = {task: entropy(share).mean() for task, share in taken.items()}
    seen = {task: int((~share.isnan()).any(dim=0).sum()) for task, share in shares.items()}
    similarity = [
        [
            1 - (entropy((one + other) / 2) - (entropy(one) + entropy(other)) / 2).mean() / math.log(2)
            for other in taken.values()
        ]
        for one in taken.values()
    ]
    most = {task: math.log(experts) if experts > 1 else math.nan for task, experts in seen.items()}
    return {
        "entropy": {task: plain(one / most[task]) for task, one in entropies.items()},
        "utilisation": {task: plain(share.mean(dim=0)) for task, share in shares.items()},
        "similarity": [[plain(value) for value in row] for row in similarity],
    }


def entropy(shares: Tensor) -> Tensor:
    """Of each row, in nats."""
    return -torch.xlogy(shares, shares).sum(dim=-1)


def told(names: Sequence[str], binary: Sequence[bool], labels: Tensor) -> dict[str, Any]:
    """What is in the probe's labels (row, task)."""
    known = (~labels.isnan()).sum(dim=0).tolist()
    positives = (labels > 0).sum(dim=0).tolist()
    return {
        "rows": len(labels),
        "labels": dict(zip(names, known, strict=True)),
        "positives": {n: p for n, p, two in zip(names, positives, binary, strict=True) if two},
    }


def fewest(binary: Sequence[bool], labels: Tensor) -> Tensor:
    """Of each task the positives or the negatives, whichever are fewer; of a regression task all labels."""
    positives, known = (labels > 0).sum(dim=0), (~labels.isnan()).sum(dim=0)
    two = torch.tensor(binary, device=labels.device)
    return torch.where(two, torch.minimum(positives, known - positives), known)


def without(values: Tensor, few: Tensor) -> Tensor:
    """A matrix between tasks, NaN where either has too few labels."""
    return values.masked_fill(few | few.unsqueeze(1), torch.nan)


def agreement(names: Sequence[str], gradients: Tensor, few: Tensor | None = None) -> dict[str, Any]:
    """Lengths of the tasks' gradients (task, parameter), their cosines, and the share of pairs below 0.

    Tasks of whom there are too `few` labels (task,) have no cosine.
    """
    norms = gradients.double().norm(dim=1)
    unit = gradients / norms.unsqueeze(1)
    cosines = (unit @ unit.T).clamp(-1, 1)
    if few is not None:
        cosines = without(cosines, few)
    pairs = [float(cosines[i, j]) for i, j in combinations(range(len(names)), 2)]
    known = [cosine for cosine in pairs if math.isfinite(cosine)]
    return {
        "norms": dict(zip(names, plain(norms), strict=True)),
        "cosines": plain(cosines),
        "conflict_share": plain(torch.tensor([c < 0 for c in known]).float().mean()) if known else None,
    }


def plain(values: Tensor) -> Any:
    """Numbers as JSON has them: nested lists, `DIGITS` significant digits, None for what is not finite."""

    def rounded(value: Any) -> Any:
        if isinstance(value, list):
            return [rounded(inner) for inner in value]
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None

    return rounded(values.detach().tolist())
