"""Strata: test rows grouped by new users, rare items, the taste of users, or the values of a column.

This package opens the rows of the test split, as otherwise only `evaluate` does; it runs after training has
ended, and nothing learns from it. Rows are grouped by what is known before their labels: the train rows, and
their own columns. Results by group are exploratory (`mtlbench.compare.exploratory`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtlbench.compare.exploratory import explore
from mtlbench.config import Family
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import open_prepared
from mtlbench.results import Result
from mtlbench.schema import Schema
from mtlbench.strata.partitions import partition
from mtlbench.strata.rows import Rows


def by_stratum(
    home: Home, results: Sequence[Result], schema: Schema, family: Family, by: str
) -> dict[str, Any]:
    """Compare within strata of the test rows; return the `strata` part of the document.

    Args:
        home: where the prepared data are stored.
        results: finished runs of one prepared dataset.
        schema: its tasks, and what its clusters are.
        family: tasks, baseline and metric.
        by: `cold-start`, `feedback-ratio`, `feedback-ratio:TASK,TASK`, or a column of the data.

    Raises:
        UsageError: the column or task is unknown, or the dataset lacks what the strata are made of.
        DataError: the data are not prepared, or are not those that the results were made on.
    """
    prepared = open_prepared(home, str(results[0].data["dataset"]))
    rows = Rows(prepared)
    _check_aligned(rows, results[0])
    strata = partition(rows, by)
    return explore(results, schema, family, by, strata)


def _check_aligned(rows: Rows, result: Result) -> None:
    """Make sure that the prepared rows are those that were scored, in the same order.

    Raises:
        DataError: the rows differ.
    """
    prepared = rows.prepared
    again = (
        f"Prepare them as they were (mtlbench show {prepared.name}), or run again: mtlbench run --dataset "
        f"{prepared.name}"
    )
    if prepared.fingerprint != result.data["fingerprint"]:
        raise DataError(
            f"{prepared.name} was prepared again since: its rows are not those of {result.path}. {again}"
        )
    scores = result.scores()
    for task, label in scores.label.items():
        found = rows.test(task).cast(float).fill_null(np.nan).to_numpy().astype(np.float32)
        if not np.array_equal(found, label, equal_nan=True):
            raise DataError(
                f"{prepared.path / 'test.parquet'}: its {task} is not the one that {result.path} was scored "
                f"on, so its rows cannot be told apart. {again}"
            )
