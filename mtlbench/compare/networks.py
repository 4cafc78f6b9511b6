"""A check that an arm and its baseline are the same network except for what is shared."""

import json
from collections.abc import Sequence

from mtlbench.compare.arms import Arm, baseline_of, differing
from mtlbench.compare.guards import Guard


def other_network(arm: Arm, baselines: Sequence[Arm]) -> tuple[Guard, ...]:
    """Report options that both have but that differ: the gain is then not due to sharing alone.

    A baseline that `run` adds has the arm's options; one that a file names may have others.
    """
    against = baseline_of(arm, baselines)
    found = differing(arm, against) if against else {}
    if not found:
        return ()
    options = ", ".join(f"{key} ({', '.join(map(json.dumps, both))})" for key, both in found.items())
    return (Guard("network", f"{arm.name} and its baseline differ in {options}"),)
