"""Chains of tasks for funnel methods: each task can happen only where its parent did.

View, cart, buy is a chain; view with cart, favourite and buy beneath it is a tree, which works as well: each
task has at most one parent. A task without a parent and without a child is predicted by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from mtlbench.errors import UsageError, unknown
from mtlbench.methods.base import NetworkConfig
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelConfig(NetworkConfig):
    """Options of methods that put the tasks in an order.

    Attributes:
        chain: tasks from first to last; those left out stand alone. If empty, the chain that the dataset
            declares (`given`), else all tasks in its order.
    """

    chain: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        if len(self.chain) == 1:
            raise ValueError(f"chain = {list(self.chain)}: name at least two tasks, from first to last")
        if len(set(self.chain)) < len(self.chain):
            raise ValueError(f"chain = {list(self.chain)}: name each task once, from first to last")


def links(tasks: Sequence[Task], chain: Sequence[str] = ()) -> dict[str, str]:
    """Map each task that has a parent to its parent; parents come before their children.

    Raises:
        UsageError: the chain names an unknown task, or the tasks are given each other in a circle.
    """
    names = [t.name for t in tasks]
    for name in chain:
        if name not in names:
            raise unknown("task in chain:", name, names)
    declared = {t.name: t.given for t in tasks if t.given in names}
    if chain or not declared:
        return {child: parent for parent, child in pairwise(chain or names)}

    def above(task: str) -> list[str]:
        """Return the ancestors of a task, from its parent up to the root."""
        line = [task]
        while line[-1] in declared:
            line.append(declared[line[-1]])
            if line[-1] in line[:-1]:
                raise UsageError(
                    f"{' < '.join(line)}: tasks that are given each other in a circle: none is first. "
                    'Name a chain (--set \'method.chain=["first", "then"]\').'
                )
        return line[1:]

    return {child: declared[child] for child in sorted(declared, key=lambda task: len(above(task)))}


def filled(labels: Tensor, tasks: Sequence[str], links: Mapping[str, str]) -> Tensor:
    """Fill in the labels (batch, task) for the losses of a funnel: without its parent, no child happens.

    A child without a label is set to 0 where its parent is 0, down the tree, since parents come first. Such
    rows count in its loss: a product, or a probability over all rows, is fitted on all rows.
    """
    columns = dict(zip(tasks, labels.unbind(dim=1), strict=True))
    for child, parent in links.items():
        known = columns[child].isnan() & (columns[parent] == 0)
        columns[child] = torch.where(known, torch.zeros_like(columns[child]), columns[child])
    return torch.stack(list(columns.values()), dim=1)


def both(a: Tensor, b: Tensor) -> Tensor:
    """Return the logit of sigmoid(a) sigmoid(b), exact for logits of any size.

    The odds against it are (1 + e^-a) (1 + e^-b) - 1 = e^-a + e^-b + e^-(a+b).
    """
    return -torch.logsumexp(torch.stack([-a, -b, -a - b]), dim=0)
