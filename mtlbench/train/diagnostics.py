"""Diagnostics of a network: gates, dead units, and how the tasks' gradients agree.

    probe       number of rows looked at, and per task the number of labels and of positives

    gates       from `Method.gate_shares`: mean entropy over log(experts that the task can see), mean share of
                each expert, and between tasks 1 - Jensen-Shannon divergence (base 2), averaged over rows
    dead units  share of hidden units that are 0 on every row
    gradients   of each task's loss on shared parameters: norms, cosines, and the share of task pairs with a
                negative cosine; dense parameters and embeddings separately
    affinity    Z[i, j] = 1 - L_j(theta - eta grad L_i) / L_j(theta), with theta the shared parameters and eta
                the learning rate: how much a step for task i alone lowers the loss of task j. Fifty et al.,
                "Efficiently Identifying Task Groupings for Multi-Task Learning", NeurIPS 2021.
                https://arxiv.org/abs/2109.04617

All values are plain JSON: rounded numbers, None if undefined.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

DIGITS = 6


def dead_units(alive: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the share of dead units overall, and in each network (the module of a layer) that has some."""
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
    """Summarise gates, from task -> (row, expert) shares: rows sum to 1, NaN for unseen experts."""
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
    """Return the entropy of each row, in nats."""
    return -torch.xlogy(shares, shares).sum(dim=-1)


def told(names: Sequence[str], binary: Sequence[bool], labels: Tensor) -> dict[str, Any]:
    """Count the rows, labels and positives in the probe's labels (row, task)."""
    known = (~labels.isnan()).sum(dim=0).tolist()
    positives = (labels > 0).sum(dim=0).tolist()
    return {
        "rows": len(labels),
        "labels": dict(zip(names, known, strict=True)),
        "positives": {n: p for n, p, two in zip(names, positives, binary, strict=True) if two},
    }


def fewest(binary: Sequence[bool], labels: Tensor) -> Tensor:
    """Count per task the positives or the negatives, whichever are fewer; for a regression all its labels."""
    positives, known = (labels > 0).sum(dim=0), (~labels.isnan()).sum(dim=0)
    two = torch.tensor(binary, device=labels.device)
    return torch.where(two, torch.minimum(positives, known - positives), known)


def without(values: Tensor, few: Tensor) -> Tensor:
    """Return a (task, task) matrix with NaN where either task has too few labels."""
    return values.masked_fill(few | few.unsqueeze(1), torch.nan)


def agreement(names: Sequence[str], gradients: Tensor, few: Tensor | None = None) -> dict[str, Any]:
    """Return norms and cosines of the tasks' gradients (task, parameter), and the share of negative cosines.

    Tasks with too `few` labels (task,) have no cosine.
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
    """Return values as JSON: nested lists, `DIGITS` significant digits, None for what is not finite."""

    def rounded(value: Any) -> Any:
        if isinstance(value, list):
            return [rounded(inner) for inner in value]
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None

    return rounded(values.detach().tolist())
