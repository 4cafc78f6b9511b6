"""A family: arms whose comparisons are judged together, at the family's own alpha."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mtlbench.compare.arms import Arm
from mtlbench.compare.contrasts import Contrasts
from mtlbench.compare.guards import guards
from mtlbench.compare.measures import smallest_effect
from mtlbench.compare.networks import other_network
from mtlbench.compare.sides import about_sharing
from mtlbench.compare.task_comparison import TaskComparison
from mtlbench.statistics.verdict import judge


def judged_together(
    family: str,
    arms: Sequence[Arm],
    baselines: Sequence[Arm],
    contrasts: Contrasts,
    *,
    baseline: str,
    cluster: str,
    alpha: float,
    delta: float | Mapping[str, float] | None,
    declared: int = 0,
) -> Iterator[TaskComparison]:
    """Compare every arm of a family with its baseline on every task, arm by arm.

    Args:
        family: the family's name, as in `Sides.families`.
        arms: its arms.
        baselines: the arms that they are compared with.
        contrasts: measures the gains.
        baseline: the method of the baselines.
        cluster: what a cluster is called.
        alpha: chance of any false POSITIVE or NEGATIVE among these comparisons.
        delta: smallest effect of interest, as given to `compare`.
        declared: the family's size as a file declares it; arms without a result still count.
    """
    members = [(arm, cell) for arm in arms for cell in contrasts.cells]
    measured = [m for arm in arms for m in contrasts.measure(arm, baselines)]
    deltas = [smallest_effect(cell.task, cell.metric, delta) for _, cell in members]
    size = max(len(members), declared)
    judgements = judge(
        [m.estimate for m in measured],
        deltas,
        alpha=alpha,
        reasons=[m.reason for m in measured],
        cluster=cluster,
        members=size,
    )
    for (arm, cell), m, judgement, smallest in zip(members, measured, judgements, deltas, strict=True):
        yield TaskComparison(
            arm=arm.name,
            identity=arm.identity,
            baseline=baseline,
            task=cell.task if about_sharing(arm, baseline) else replace(cell.task, truth=""),
            metric=cell.metric,
            measured=m,
            judgement=judgement,
            alpha=alpha,
            delta=smallest,
            family=family,
            family_size=size,
            guards=(*guards(m, cluster), *other_network(arm, baselines)),
            trials=arm.trials,
        )
