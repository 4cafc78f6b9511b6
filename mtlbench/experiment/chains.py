"""Check on the train split that a chain of tasks holds, before a method that assumes it is trained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.config import RunSpec, fill
from mtlbench.errors import UsageError
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method
from mtlbench.registry import lookup

MOST_BROKEN = 0.05
"""Share of a task's positives without its parent above which a method is refused; below it, warn."""
ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Link:
    """A task and its parent, counted over the rows where both are defined.

    Attributes:
        rows: number of these rows.
        without: how many of them have no parent event.
        positives: how many have the child event.
        broken: how many have the child event without the parent event.
    """

    child: str
    parent: str
    rows: int
    without: int
    positives: int
    broken: int

    @property
    def share(self) -> float:
        """Share of the child's positives without the parent; 0 if there are no positives."""
        return self.broken / max(1, self.positives)

    @property
    def fault(self) -> str:
        """Why a funnel cannot learn this link, and what to do about it; empty if it can."""
        child, parent, otherwise = self.child, self.parent, "use a method that assumes no chain"
        if self.rows and not self.without:
            return (
                f"{child} has labels only where {parent} happened, so that its scores would have to rank by "
                f"P({child} | {parent}), and a funnel predicts P({child}) on all rows. Prepare {child} with "
                f"a label on all rows, 0 where {parent} did not happen, or {otherwise}"
            )
        if not self.rows:
            untrue = "no row of train has a label of both"
        elif not self.positives:
            untrue = f"no row of train has {child} and a label of {parent}, so that nothing shows it"
        elif self.share > MOST_BROKEN:
            untrue = f"on train {self}"
        else:
            return ""
        return (
            f"{child} is taken to happen only where {parent} did, but {untrue}. Name a chain that is one "
            '(--set \'method.chain=["first", "then"]\'), '
            f"leave {child} or {parent} out (--task), or {otherwise}"
        )

    def __str__(self) -> str:
        return (
            f"{self.broken:,} of the {self.positives:,} rows with {self.child} have no {self.parent} "
            f"({self.share:.2%})"
        )


def check_chains(
    planned: Sequence[Sequence[RunSpec]], prepared: Prepared, say: Callable[[str], None]
) -> None:
    """Check the chains that the planned methods assume against the train split; warn of small violations.

    Raises:
        UsageError: a chain does not hold on this data, or cannot be learned from its labels; the message
            gives the counts.
    """
    assumed = [(spec.method, link) for spec, *_ in planned for link in _links(spec, prepared)]
    if not assumed:
        return
    labels, tasks = prepared.open_split("train").labels, prepared.schema.task_names
    links = list(dict.fromkeys(link for _, link in assumed))
    for link in count(labels, tasks, links):
        child, parent = link.child, link.parent
        methods = ", ".join(dict.fromkeys(m for m, both in assumed if both == (child, parent)))
        if link.fault:
            raise UsageError(f"{methods}: {link.fault} (mtlbench list methods).")
        if link.broken:
            say(f"{methods}: {child} is taken to happen only where {parent} did; on train {link}.")
        for task in conditionals(labels, tasks, (child, parent)):
            say(
                f"{methods}: {task} is {child} on the rows with {parent}, and stands outside the chain "
                f"{parent} > {child}: it has a tower of its own; the conditional of {child} is not what is "
                f"scored as {task}."
            )


def _links(spec: RunSpec, prepared: Prepared) -> list[tuple[str, str]]:
    method = lookup(METHODS, spec.method, "method").load()
    if not issubclass(method, Method):
        return []
    config = fill(method.Config, spec.method_options, f"options of {spec.method}")
    return list(method.links(config, prepared.schema.tasks).items())


def count(labels: NDArray[np.float32], tasks: Sequence[str], links: Sequence[tuple[str, str]]) -> list[Link]:
    """Count each (child, parent) over the labels (row, task), one block of rows at a time."""
    counts = np.zeros((len(links), 4), int)
    for part in _parts(labels):
        for i, (child, parent) in enumerate(links):
            happened, given = part[:, tasks.index(child)], part[:, tasks.index(parent)]
            both = ~(np.isnan(happened) | np.isnan(given))
            kinds = (both, both & (given == 0), both & (happened > 0), both & (happened > 0) & (given == 0))
            counts[i] += [np.count_nonzero(rows) for rows in kinds]
    return [Link(*link, *map(int, numbers)) for link, numbers in zip(links, counts, strict=True)]


def conditionals(labels: NDArray[np.float32], tasks: Sequence[str], link: tuple[str, str]) -> list[str]:
    """Return the tasks that equal the child where the parent happened and are undefined elsewhere.

    These are P(child | parent).
    """
    child, parent = (tasks.index(task) for task in link)
    left = {task: 0 for task in tasks if task not in link}  # candidate -> rows where it is defined
    for part in _parts(labels):
        for task in list(left):
            defined = part[~np.isnan(part[:, tasks.index(task)])]
            same = (defined[:, parent] > 0) & (defined[:, tasks.index(task)] == defined[:, child])
            if same.all():
                left[task] += len(defined)
            else:
                del left[task]
    return [task for task, rows in left.items() if rows]


def _parts(labels: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (labels[start : start + ROWS] for start in range(0, len(labels), ROWS))
