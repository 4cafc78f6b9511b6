"""Single-task: one independent model per task. The baseline that every gain is measured against.

    y_k = h^k( f^k(x^k) )

The forward path is exactly that of hard sharing with one task: own embeddings, own network, own tower, own
early stopping and checkpoint. It starts from the same draw of weights and sees the same rows in the same
order as the multi-task models of the same seed, so that a gain is the effect of sharing alone.
Departures from a paper: none; this is the definition.

Pitfalls: one model per task costs K trainings and K embedding tables. A gain over this baseline may come from
size alone (compare `single-task-wide`) or from sharing embeddings alone (compare `embedding-sharing`).
"""

from mtlbench.methods.hard_sharing import HardSharing


class SingleTask(HardSharing):
    """Hard sharing with a single task; the training loop trains one model per task."""

    per_task = True
