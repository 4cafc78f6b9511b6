"""The families of methods and balancers, in reading order."""

from collections.abc import Mapping
from dataclasses import dataclass

from mtlbench.registry import Entry


@dataclass(frozen=True, slots=True)
class Family:
    """A family of entries that belong together.

    Attributes:
        page: name of the file in `docs/` that describes them; empty for plugins.
        title: title of that page.
        about: one or two sentences on what the members have in common.
        passes: for balancers, backward passes of a step with K tasks.
    """

    page: str
    title: str
    about: str
    passes: str = ""


ONCE = "1"
ONCE_A_TASK = "K, one more where the method has a penalty"
METHOD_FAMILIES = {
    "baseline": Family(
        "baselines",
        "Baselines",
        "What a gain is measured against, and controls that share nothing, or only some: they tell whether a "
        "gain is sharing, or is size, code or checkpoints.",
    ),
    "sharing": Family(
        "sharing",
        "Sharing",
        "One network for all tasks, or a network a task that something holds together: a penalty, a mixing "
        "matrix, a mask.",
    ),
    "experts": Family(
        "experts",
        "Experts and gates",
        "Several networks and gates that choose among them, row by row, a choice a task.",
    ),
    "funnel": Family(
        "funnels",
        "Funnels",
        "Tasks of which one happens only where another did: click, then buy. They need binary tasks in such "
        "a chain; where the data break it they warn or refuse, with the share that was counted.",
    ),
    "domains": Family(
        "domains",
        "Domains",
        "Architectures for several domains, here for tasks that are the same outcome in different domains, "
        "such as one category a task.",
    ),
    "floor": Family(
        "floors",
        "Floors",
        "No networks: what a network should beat. Each is fitted a task at a time; only its settings are "
        "chosen on validation.",
    ),
    "plugin": Family("", "Plugins", "From your own files and from installed packages."),
}
BALANCER_FAMILIES = {
    "loss": Family("loss", "Weighing losses", "From the losses of the tasks to their weights.", ONCE),
    "gram": Family(
        "gram",
        "Weighing gradients",
        "From the Gram matrix of the task gradients on what tasks share (all inner products) to weights.",
        ONCE_A_TASK,
    ),
    "jacobian": Family(
        "jacobian",
        "Mixing gradients",
        "One gradient made of the task gradients themselves, number by number or parameter by parameter.",
        ONCE_A_TASK,
    ),
    "frontier": Family(
        "frontier",
        "Fixed weights, chosen",
        "What a balancer has to beat: the best of a grid of fixed weights. An arm is many runs.",
        ONCE,
    ),
    "plugin": Family("", "Plugins", "From your own files and from installed packages."),
}


START = (
    "Start with hard-sharing and mmoe. Where one task happens only after another (click, then buy): esmm or "
    "aitm. Many tasks, or tasks that conflict: ple. To tell what a gain is made of: embedding-sharing and "
    "single-task-wide. This is an order of reading, not of merit: which one is best depends on the data."
)
"""Advice for users who see the list of methods for the first time."""


def in_order(table: Mapping[str, Entry], families: Mapping[str, Family]) -> list[tuple[str, Entry]]:
    """Return the entries of a registry, family by family; within a family in registry order."""
    known = list(families)
    return sorted(table.items(), key=lambda item: known.index(item[1].family))
