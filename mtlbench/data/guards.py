"""Guards: does any feature say more about a task than the world could?

A leak shows as one feature that alone decides a task. So each field is scored alone, in both directions:
its value, whether it is absent or out of vocabulary, and for ids the rate of the task on train, scored on
validation. What is high must be explained in the dataset's card; what is too high is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.card import Card
from mtlbench.data.readings import Reading, aucs, identical_tasks, readings, sampled_rows, train_rates
from mtlbench.data.recipe import Built, Report
from mtlbench.errors import DataError
from mtlbench.load import SPLITS, SplitName

EXPLAIN_ABOVE = 0.80
ERROR_ABOVE = 0.95
LEAST_CLUSTERS = 100
"""A task is judged where at least so many users have a positive row: below, an AUC is mostly noise."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the guards saw: `summary` for the manifest, `lines` for people, `errors` that stop it."""

    summary: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def check(built: Built, out: Path, card: Card, report: Report) -> dict[str, Any]:
    """Look at the matrices in `out`; the manifest's `guards`.

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
            + "\nNegatives differ by their items where a few items make up most of a day: take more users "
            "(--users N), or a log with more items. Any other feature: if it is no leak, say why under "
            f"[explained] in datasets/{card.name}/card.toml."
        )
    return findings.summary


def examine(built: Built, out: Path, card: Card) -> Findings:
    """Score every reading of every field on every split."""
    schema = built.schema
    tasks = [t.name for t in schema.tasks if t.kind == "binary"]
    findings = Findings(
        {
            "rows": {},
            "auc": {},
            "above": [],
            "not_judged": {},
            "never_seen": {},
            "constant_fields": [],
            "identical_tasks": identical_tasks(built, out),
        }
    )
    rates = train_rates(built, out, {t: schema.task_names.index(t) for t in tasks})
    constant = {f.name for f in schema.fields}
    for split in SPLITS:
        rows = sampled_rows(built.rows[split])
        labels = np.load(out / split / "labels.npy", mmap_mode="r")[rows]
        labels = labels[:, [schema.task_names.index(t) for t in tasks]] > 0
        cluster = np.load(out / split / "cluster.npy", mmap_mode="r")[rows]
        judged = {
            t for t, y in zip(tasks, labels.T, strict=True) if len(np.unique(cluster[y])) >= LEAST_CLUSTERS
        }
        findings.summary["rows"][split] = len(rows)
        findings.summary["not_judged"][split] = [t for t in tasks if t not in judged]
        table: dict[str, Any] = {}
        findings.summary["auc"][split] = table
        for reading in readings(built, out, split, rows, rates):
            if reading.what == "" and np.any(reading.values != reading.values[0]):
                constant.discard(reading.field)
            for task, auc in zip(tasks, aucs(reading.values, labels).tolist(), strict=True):
                if reading.task not in ("", task):
                    continue
                table.setdefault(reading.name, {})[task] = None if np.isnan(auc) else round(auc, 4)
                if task in judged:
                    _judge(findings, card, reading, split, task, auc)
        _never_seen(findings, built, card, split, rows, labels, tasks)
    findings.summary["constant_fields"] = sorted(constant)
    if constant:
        findings.lines.append(f"Constant fields: {', '.join(sorted(constant))}.")
    for one, other in findings.summary["identical_tasks"]:
        findings.lines.append(f"Tasks {one} and {other} are identical on every row.")
    findings.lines.extend(_explained(findings.summary["above"]))
    return findings


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
    """Note what is too high, and what should be balanced and is not."""
    where = f"{reading.name} alone has AUC {auc:.3f} on {task} ({split})"
    balanced = card.balanced
    if balanced and reading.of in balanced["of"] and task == balanced["task"]:
        low, high = balanced["low"], balanced["high"]
        if reading.what != "train rate" and not low <= auc <= high:
            findings.errors.append(f"{where}, outside {low} .. {high}")
    if max(auc, 1 - auc) <= EXPLAIN_ABOVE:
        return
    why = next((text for pattern, text in card.explained.items() if fnmatchcase(reading.field, pattern)), "")
    if max(auc, 1 - auc) > ERROR_ABOVE:
        findings.errors.append(f"{where}, beyond {ERROR_ABOVE}")
    elif not why:
        findings.errors.append(f"{where}, beyond {EXPLAIN_ABOVE} and not explained")
    findings.summary["above"].append(
        {"field": reading.name, "task": task, "split": split, "auc": round(auc, 4), "explained": why}
    )


def _never_seen(
    findings: Findings,
    built: Built,
    card: Card,
    split: SplitName,
    rows: NDArray[np.int64],
    labels: NDArray[np.bool_],
    tasks: Sequence[str],
) -> None:
    """Share of rows whose item was never seen before, among positives and among negatives."""
    if not built.novelty or not card.balanced:
        return
    columns = [i for i, f in enumerate(built.schema.of_kind("numeric")) if f.name in built.novelty]
    absent = [built.absent[built.schema.of_kind("numeric")[i].name] for i in columns]
    numeric = np.load(built.numeric[split], mmap_mode="r")[:, columns][rows]
    unseen = (numeric == np.array(absent, numeric.dtype)).all(axis=1)
    positive = labels[:, tasks.index(card.balanced["task"])]
    shares = {"positives": float(unseen[positive].mean()), "negatives": float(unseen[~positive].mean())}
    findings.summary["never_seen"][split] = {k: round(v, 4) for k, v in shares.items()}
    findings.lines.append(
        f"Items never seen before ({split}): {shares['positives']:.1%} of positives, "
        f"{shares['negatives']:.1%} of negatives."
    )
