"""Writing the matrices of a log block by block, and the same rows with raw ids as Parquet."""

from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.matrix import SplitMatrices
from mtlbench.data.userbehavior.exposures import Exposures
from mtlbench.data.userbehavior.features import CATEGORICAL, Features, numeric_fields
from mtlbench.data.userbehavior.log import Log
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING, Schema

LEAST_ROWS = 5
"""Train rows that give an id an embedding of its own."""


class Vocabulary:
    """Codes plus one (0 is nothing) to indices: ids with enough train rows have their own."""

    def __init__(self, train_rows: NDArray[np.int64]) -> None:
        kept = train_rows >= LEAST_ROWS
        index = np.where(kept, FIRST_ID - 1 + np.cumsum(kept), OUT_OF_VOCABULARY)
        self._index = np.concatenate([[PADDING], index]).astype(np.int32)
        self.size = FIRST_ID + int(kept.sum())

    def __call__(self, codes_plus_one: NDArray[np.int64]) -> NDArray[np.int32]:
        """Look the indices up."""
        return self._index[codes_plus_one]


class SplitWriter:
    """The matrices of one split, and its rows with raw ids as Parquet."""

    def __init__(
        self,
        name: str,
        schema: Schema,
        rows: int,
        log: Log,
        vocabularies: dict[str, Vocabulary],
        work: Path,
        out: Path,
    ) -> None:
        self._log, self._vocabularies = log, vocabularies
        self._parts = work / f"parts-{name}"
        self._parts.mkdir()
        self._parquet = out / f"{name}.parquet"
        self._matrices = SplitMatrices(out / name, schema, rows)

    def write(self, rows: Exposures, features: Features) -> None:
        """Append a block."""
        window, user = self._log.window, self._log.users[rows.user]
        fields = [
            self._vocabularies[field.vocabulary](features.categorical[:, at])
            for at, field in enumerate(CATEGORICAL)
        ]
        nothing = np.empty((len(rows), 0))
        self._matrices.write(
            {
                "categorical": np.stack(fields, axis=1),
                "numeric": features.numeric,
                "labels": rows.labels,
                "group_categorical": nothing,
                "group_numeric": nothing,
                "sequence": self._vocabularies["category"](features.sequence),
                "cluster": user,
            }
        )

        categories = np.concatenate([[-1], self._log.categories])  # -1: nothing there
        _, _, category, hour, weekday, last = features.categorical.T
        columns = {
            "user": user,
            "item": self._log.items[rows.item],
            "time": rows.time + window.start,
            **{task: rows.labels[:, at] for at, task in enumerate(window.tasks)},
            "category": categories[category],
            "hour": (hour - 1).astype(np.uint8),
            "weekday": (weekday - 1).astype(np.uint8),
            "last_category": categories[last],
            "recent_categories": categories[features.sequence],
            **{field.name: features.numeric[:, at] for at, field in enumerate(numeric_fields(window))},
        }
        part = len(list(self._parts.iterdir()))
        pl.DataFrame(columns).write_parquet(self._parts / f"{part:06}.parquet")

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._matrices.__exit__(kind, error, trace)
        if kind is None:
            pl.scan_parquet(sorted(self._parts.iterdir())).sink_parquet(self._parquet)
