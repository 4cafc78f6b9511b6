"""Requirements of classes, in the words that their registry entries must use too."""

from typing import Any

from mtlbench.balancing.base import Balancer


def needs(cls: type[Any]) -> str:
    """Describe what a method requires of the tasks, or a balancer of the machine; empty if nothing."""
    if not issubclass(cls, Balancer):
        return str(getattr(cls, "needs", ""))
    asked = {
        "a second forward pass": cls.wants_after,
        "the host at each step": cls.syncs,
        f"mtlbench[{cls.extra}]": bool(cls.extra),
    }
    return ", ".join(words for words, wanted in asked.items() if wanted)
