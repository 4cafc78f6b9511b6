"""What each field holds, for people: its ids, what is missing, how well it separates a task by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.readings import SplitColumns, absent_numbers, sampled_rows
from mtlbench.data.recipe import Built
from mtlbench.load import SPLITS, SplitName
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING


def describe_fields(built: Built, out: Path, guards: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Describe every field, in schema order, from about 200,000 rows of each split.

    Args:
        built: what a recipe has built.
        out: folder of the unscaled matrices.
        guards: what the guards have found in them.

    Returns:
        One entry per field: `name`, `kind`, `vocabulary` and how many `ids` have an embedding of their own (0
        for numbers); by split, `missing`, the share of rows without a value (for a sequence, without any),
        and `unknown`, the share of ids that are out of vocabulary; `alone`, the `task` that the field alone
        separates best on validation, with that `auc`, at least .5 (None if no task can be judged there).
    """
    shares = {split: _shares(built, out, split) for split in SPLITS}
    return [
        {
            "name": f.name,
            "kind": f.kind,
            "vocabulary": f.vocabulary,
            "ids": built.vocabularies[f.vocabulary] - FIRST_ID if f.vocabulary else 0,
            "missing": {split: shares[split][f.name][0] for split in SPLITS},
            "unknown": {split: shares[split][f.name][1] for split in SPLITS},
            "alone": guards["alone"].get(f.name),
        }
        for f in built.schema.fields
    ]


def _shares(built: Built, out: Path, split: SplitName) -> dict[str, tuple[float, float]]:
    """Return the shares of missing values and of unknown ids, by field."""
    columns = SplitColumns(built, out, split, sampled_rows(built.rows[split]))
    found = {}
    for f, numbers in columns.fields("numeric"):
        found[f.name] = _share(absent_numbers(built, f, numbers)), 0.0
    for f, index in columns.fields("categorical"):
        found[f.name] = _share(index == PADDING), _share((index == OUT_OF_VOCABULARY)[index != PADDING])
    for f, ids in columns.fields("sequence"):
        there = ids != PADDING
        found[f.name] = _share(~there.any(axis=1)), _share((ids == OUT_OF_VOCABULARY)[there])
    return found


def _share(mask: NDArray[np.bool_]) -> float:
    """Return the share of true values, 0 if there are none at all."""
    return round(float(mask.mean()), 4) if mask.size else 0.0
