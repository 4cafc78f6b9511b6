"""Launchers: what brings jobs to where they are done; `local` unless another is named.

A launcher is a class made from an address (None where none is given), with the methods of
`mtlbench.launch.base.Launcher`.
"""

import os

from mtlbench.registry import Entry

LAUNCHERS = {  # targets are strings, so that ray is loaded by those alone who use it
    "local": Entry("mtlbench.launch.local:Local", "processes on this machine: one a core, or one a GPU"),
    "ray": Entry("mtlbench.launch.ray:Ray", "tasks on a Ray cluster that is running already"),
}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
