"""Comparison: turns results into a verdict on every task of every method. Trains nothing.

`arms` groups results, `sides` finds the baselines and the families that are judged together, `contrasts`
reads scores and estimates each gain, `families` has `mtlbench.statistics` judge the gains, `comparison` holds
the outcome and its JSON form. A grid of static weights enters as the point that validation chooses
(`frontier`); tests of balancers against that point are a family of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from mtlbench.compare.arms import Arm, baseline_of
from mtlbench.compare.comparison import Comparison, Summary
from mtlbench.compare.contrasts import Contrasts
from mtlbench.compare.declared import UNDECLARED, Declared
from mtlbench.compare.families import judged_together
from mtlbench.compare.frontier_report import frontier_reports
from mtlbench.compare.measures import check_family
from mtlbench.compare.secondary import secondary
from mtlbench.compare.sides import declared_size, sides
from mtlbench.compare.task_comparison import TaskComparison
from mtlbench.config import Family
from mtlbench.errors import unknown
from mtlbench.results import Result
from mtlbench.schema import Schema, Task
from mtlbench.statistics.verdict import Verdict

__all__ = ["USUAL", "Comparison", "Declared", "Summary", "TaskComparison", "compare"]

USUAL = Family()
"""All tasks, compared with single-task models."""
COSTS = ("parameters", "rows_per_second", "wall_seconds", "scored_per_second")


def compare(
    results: Sequence[Result],
    schema: Schema,
    family: Family = USUAL,
    declared: Declared = UNDECLARED,
) -> Comparison:
    """Compare every arm with the baseline on every task of the family.

    Methods and controls (`sides.is_control`) are a family each: controls answer another question, and adding
    one changes nothing for the methods. If there are only controls, they are the family. A file may declare
    families of its own (`Declared.families`).

    Args:
        results: finished runs of one prepared dataset and one set of training settings.
        schema: the dataset's tasks, and what its clusters are.
        family: what the verdicts are about: tasks, baseline, alpha, delta and metric.
        declared: what a benchmark file says of its families.

    Returns:
        The verdicts, one for each (arm, task), family by family, then in the order of the arms' first
        results and of the tasks. Without a baseline run to pair with, the verdict is NO_VERDICT with the
        reason.

    Raises:
        UsageError: an unknown task or metric, a delta that no task has, two results of one arm and seed.
        DataError: results of different data, or a score file that is missing or damaged.
    """
    tasks = _tasks(schema, family.tasks or schema.task_names)
    check_family(family, schema)
    found = sides(results, schema, family.baseline, declared.families)

    contrasts = Contrasts(tasks, family.baseline, family.metric)
    comparisons = tuple(
        comparison
        for name, arms in found.families.items()
        for comparison in judged_together(
            name,
            arms,
            found.baselines,
            contrasts,
            family,
            cluster=schema.cluster,
            declared=declared_size(name, arms, declared.members),
        )
    )
    return Comparison(
        family=replace(family, tasks=tuple(task.name for task in tasks)),
        declared=declared.name,
        comparisons=comparisons,
        summaries=tuple(_summary(arm, baseline_of(arm, found.baselines), comparisons) for arm in found.arms),
        frontiers=frontier_reports(
            found.frontiers, found.everyone, found.baselines, schema, tasks, family, declared.rivals
        ),
    )


def _tasks(schema: Schema, names: Sequence[str]) -> list[Task]:
    by_name = {task.name: task for task in schema.tasks}
    for name in names:
        if name not in by_name:
            raise unknown("task", name, by_name)
    return [by_name[name] for name in dict.fromkeys(names)]


def _summary(arm: Arm, against: Arm | None, comparisons: Sequence[TaskComparison]) -> Summary:
    mine = [c for c in comparisons if c.arm == arm.name]
    verdicts = {c.judgement.verdict for c in mine}
    return Summary(
        arm=arm.name,
        identity=arm.identity,
        seesaw={Verdict.NEGATIVE, Verdict.POSITIVE} <= verdicts,
        secondary=secondary(mine),
        costs={cost: _cost(cost, arm, against) for cost in COSTS},
        trials=arm.trials,
    )


def _cost(cost: str, arm: Arm, against: Arm | None) -> dict[str, float]:
    """Return the arm's mean over its seeds, that of the baseline's models together, and the ratio."""
    mine, theirs = arm.mean_cost(cost), against.mean_cost(cost) if against else math.nan
    return {"method": mine, "baseline": theirs, "ratio": mine / theirs if theirs else math.nan}
