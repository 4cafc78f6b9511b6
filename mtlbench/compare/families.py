"""A family: arms whose comparisons are judged together, at the family's own alpha."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mtlbench.compare.arms import Arm
from mtlbench.compare.contrasts import Contrasts
from mtlbench.compare.guards import guards
from mtlbench.compare.measures import smallest_effect
from mtlbench.compare.networks import other_network
from mtlbench.compare.sides import about_sharing
from mtlbench.compare.task_comparison import TaskComparison
from mtlbench.config import Family
from mtlbench.statistics.verdict import judge


def judged_together(
    name: str,
    arms: Sequence[Arm],
    baselines: Sequence[Arm],
    contrasts: Contrasts,
    family: Family,
    *,
    cluster: str,
    declared: int = 0,
) -> Iterator[TaskComparison]:
    """Compare every arm of a family with its baseline on every task, arm by arm.

    Args:
        name: the family's name, as in `Sides.families`.
        arms: its arms.
        baselines: the arms that they are compared with.
        contrasts: measures the gains.
        family: baseline, alpha and delta; alpha holds for these comparisons alone.
        cluster: what a cluster is called.
        declared: the family's size as a file declares it; arms without a result still count.
    """
    members = [(arm, cell) for arm in arms for cell in contrasts.cells]
    measured = [m for arm in arms for m in contrasts.measure(arm, baselines)]
    deltas = [smallest_effect(cell.task, cell.metric, family.delta) for _, cell in members]
    size = max(len(members), declared)
    judgements = judge(
        [m.estimate for m in measured],
        deltas,
        alpha=family.alpha,
        reasons=[m.reason for m in measured],
        cluster=cluster,
        members=size,
    )
    for (arm, cell), m, judgement, smallest in zip(members, measured, judgements, deltas, strict=True):
        yield TaskComparison(
            arm=arm.name,
            identity=arm.identity,
            baseline=family.baseline,
            task=cell.task if about_sharing(arm, family.baseline) else replace(cell.task, truth=""),
            metric=cell.metric,
            measured=m,
            judgement=judgement,
            alpha=family.alpha,
            delta=smallest,
            family=name,
            family_size=size,
            guards=(*guards(m, cluster), *other_network(arm, baselines)),
            trials=arm.trials,
        )
