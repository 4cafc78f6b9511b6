"""Guards against leaks: features that predict a task better than is plausible.

A leak shows as one feature that alone decides a task. So each field is scored alone, in both directions:
its value, whether it is absent or out of vocabulary, and for ids the rate of the task on train, scored on
validation. A high score must be explained in the dataset's card; one that is too high is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.card import Card
from mtlbench.data.readings import (
    Outcomes,
    Reading,
    SplitColumns,
    identical_tasks,
    readings,
    sampled_rows,
    thresholds,
    train_rates,
)
from mtlbench.data.recipe import Built, Report
from mtlbench.errors import DataError
from mtlbench.load import SPLITS, SplitName

EXPLAIN_ABOVE = 0.80
LEAST_CLUSTERS = 100
"""Fewest clusters (users) with a positive row, and with a negative one, to judge a task: with fewer, an AUC
is mostly noise."""

BALANCE_HINT = (
    "Negatives differ by their items where a few items make up most of a day: take more users (--users N), "
    "or a log with more items."
)


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings of the guards: `summary` for the manifest, `lines` for the user, `errors` that stop it."""

    summary: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def check(built: Built, out: Path, card: Card, report: Report) -> dict[str, Any]:
    """Check the matrices in `out`; return the manifest's `guards`.

    Raises:
        DataError: a feature gives a task away.
    """
    findings = examine(built, out, card)
    for line in findings.lines:
        report(line)
    if findings.errors:
        shown, more = findings.errors[:8], len(findings.errors) - 8
        raise DataError(
            "The guards against leaks stopped it:\n  "
            + "\n  ".join(shown + [f"and {more} more"] * (more > 0))
            + ("\n" + BALANCE_HINT if card.balanced else "")
            + f"\nIf a feature is no leak, say why under [explained] in {card.where}; beyond "
            f"{card.error_above:g} that does not help, unless error_above there is higher."
        )
    return findings.summary


def examine(built: Built, out: Path, card: Card) -> Findings:
    """Score every reading of every field on every split."""
    schema = built.schema
    tasks = list(schema.task_names)
    findings = Findings(
        {
            "rows": {},
            "auc": {},
            "alone": {},
            "above": [],
            "not_judged": {},
            "never_seen": {},
            "constant_fields": [],
            "identical_tasks": identical_tasks(built, out),
        }
    )
    limits = thresholds(built, out)
    rates = train_rates(built, out, limits)
    constant = {f.name for f in schema.fields}
    for split in SPLITS:
        rows = sampled_rows(built.rows[split])
        columns = SplitColumns(built, out, split, rows)
        outcomes = Outcomes(columns.labels(), limits)
        judged = _judged(tasks, outcomes, columns.cluster())
        findings.summary["rows"][split] = len(rows)
        findings.summary["not_judged"][split] = [t for t in tasks if t not in judged]
        table: dict[str, Any] = {}
        findings.summary["auc"][split] = table
        for reading in readings(built, columns, rates if split == "validation" else None):
            if reading.what == "" and not np.array_equal(
                reading.values[1:], reading.values[:-1], equal_nan=True
            ):
                constant.discard(reading.field)
            for task, auc in zip(tasks, outcomes.aucs(reading.values).tolist(), strict=True):
                if reading.task not in ("", task):
                    continue
                table.setdefault(reading.name, {})[task] = None if np.isnan(auc) else round(auc, 4)
                if task in judged:
                    _judge(findings, card, reading, split, task, auc)
                    if split == "validation":
                        _keep_best(findings.summary["alone"], reading.field, task, auc)
        if built.novelty and card.balanced:
            positive = outcomes.positive[:, tasks.index(card.balanced["task"])]
            _never_seen(findings, built, split, columns, positive)
    findings.summary["constant_fields"] = sorted(constant)
    if constant:
        findings.lines.append(f"Constant fields: {', '.join(sorted(constant))}.")
    if few := findings.summary["not_judged"]["train"]:
        findings.lines.append(
            f"NOT guarded against leaks: {', '.join(few)}, which happened to, or failed to happen to, fewer "
            f"than {LEAST_CLUSTERS} {schema.cluster}s of the train rows looked at."
        )
    for one, other in findings.summary["identical_tasks"]:
        findings.lines.append(f"Tasks {one} and {other} are identical on every row.")
    findings.lines.extend(_explained(findings.summary["above"]))
    return findings


def _judged(tasks: Sequence[str], outcomes: Outcomes, cluster: NDArray[np.int64]) -> set[str]:
    """Return the tasks with positive and negative rows in enough clusters."""
    judged = set()
    for task, defined, positive in zip(tasks, outcomes.defined.T, outcomes.positive.T, strict=True):
        classes = (cluster[positive], cluster[defined & ~positive])
        if min(len(np.unique(of)) for of in classes) >= LEAST_CLUSTERS:
            judged.add(task)
    return judged


def _explained(above: list[dict[str, Any]]) -> list[str]:
    """One line an explanation: which readings it covers, each with its most extreme AUC."""
    covered: dict[str, dict[str, float]] = {}
    for entry in above:
        names = covered.setdefault(entry["explained"], {})
        name = f"{entry['field']} on {entry['task']}"
        names[name] = max(names.get(name, 0.5), entry["auc"], key=lambda auc: abs(auc - 0.5))
    return [
        f"High alone: {', '.join(f'{name} {auc:.2f}' for name, auc in names.items())}. {why}"
        for why, names in covered.items()
        if why
    ]


def _judge(findings: Findings, card: Card, reading: Reading, split: SplitName, task: str, auc: float) -> None:
    """Record an AUC that is too high, or that should be balanced and is not."""
    where = f"{reading.name} alone has AUC {auc:.3f} on {task} ({split})"
    balanced = card.balanced
    if balanced and reading.of in balanced["of"] and task == balanced["task"]:
        low, high = balanced["low"], balanced["high"]
        if reading.what != "train rate" and not low <= auc <= high:
            findings.errors.append(f"{where}, outside {low} .. {high}")
    if max(auc, 1 - auc) <= EXPLAIN_ABOVE:
        return
    why = next((text for pattern, text in card.explained.items() if fnmatchcase(reading.field, pattern)), "")
    if max(auc, 1 - auc) > card.error_above:
        findings.errors.append(f"{where}, beyond {card.error_above:g}")
    elif not why:
        findings.errors.append(f"{where}, beyond {EXPLAIN_ABOVE} and not explained")
    findings.summary["above"].append(
        {"field": reading.name, "task": task, "split": split, "auc": round(auc, 4), "explained": why}
    )


def _keep_best(alone: dict[str, Any], field: str, task: str, auc: float) -> None:
    """Keep for each field the task that one of its readings separates best, in the better direction."""
    better = round(max(auc, 1 - auc), 4)
    if field not in alone or better > alone[field]["auc"]:
        alone[field] = {"task": task, "auc": better}


def _never_seen(
    findings: Findings, built: Built, split: SplitName, columns: SplitColumns, positive: NDArray[np.bool_]
) -> None:
    """Record the share of rows whose item was never seen before, among positives and among negatives."""
    unseen = np.ones(len(positive), bool)
    for f, values in columns.fields("numeric"):
        if f.name in built.novelty:
            unseen &= values == np.float32(built.absent[f.name])
    shares = {"positives": float(unseen[positive].mean()), "negatives": float(unseen[~positive].mean())}
    findings.summary["never_seen"][split] = {k: round(v, 4) for k, v in shares.items()}
    findings.lines.append(
        f"Items never seen before ({split}): {shares['positives']:.1%} of positives, "
        f"{shares['negatives']:.1%} of negatives."
    )
