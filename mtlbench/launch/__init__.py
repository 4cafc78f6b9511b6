"""Launchers send jobs to the processes that do them; the default is `local`.

A launcher is a class that takes an address (None if none is given) and has the methods of
`mtlbench.launch.base.Launcher`.
"""

import os

from mtlbench.registry import Entry

LAUNCHERS = {  # targets are strings, so that ray is loaded only if it is used
    "local": Entry("mtlbench.launch.local:Local", "processes on this machine: one a core, or one a GPU"),
    "ray": Entry("mtlbench.launch.ray:Ray", "tasks on a Ray cluster that is running already"),
}


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
