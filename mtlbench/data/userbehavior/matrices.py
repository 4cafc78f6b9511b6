"""Writing the matrices of a log block by block, and its rows with raw ids as Parquet."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.matrix import SplitMatrices
from mtlbench.data.userbehavior.exposures import Exposures
from mtlbench.data.userbehavior.features import Features
from mtlbench.data.userbehavior.log import Log
from mtlbench.data.userbehavior.window import DAY
from mtlbench.load import GROUP
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING, Schema

LEAST_ROWS = 5
"""Fewest train rows for an id to get its own embedding."""


class Vocabulary:
    """Map from codes plus one (0 is nothing) to indices: ids with enough train rows have their own."""

    def __init__(self, train_rows: NDArray[np.int64]) -> None:
        kept = train_rows >= LEAST_ROWS
        index = np.where(kept, FIRST_ID - 1 + np.cumsum(kept), OUT_OF_VOCABULARY)
        self._index = np.concatenate([[PADDING], index]).astype(np.int32)
        self.size = FIRST_ID + int(kept.sum())

    def __call__(self, codes_plus_one: NDArray[np.int64]) -> NDArray[np.int32]:
        """Look the indices up."""
        return self._index[codes_plus_one]


def fit_vocabularies(log: Log, train: Sequence[Exposures]) -> dict[str, Vocabulary]:
    """Build the vocabularies of ids with enough train rows, negatives included."""
    users, items = np.zeros(len(log.users), np.int64), np.zeros(len(log.items), np.int64)
    hour, weekday = np.zeros(24, np.int64), np.zeros(7, np.int64)
    for day in train:
        items += np.bincount(day.item, minlength=len(items))
        users += day.size * np.bincount(day.user, minlength=len(users))
        hour += day.size * np.bincount(day.time // 3600 % 24, minlength=24)
        numbers = (day.time // DAY + log.window.first.weekday()) % 7
        weekday += day.size * np.bincount(numbers, minlength=7)
    category = np.bincount(log.category, weights=items, minlength=len(log.categories)).astype(np.int64)
    rows = {"user": users, "item": items, "category": category, "hour": hour, "weekday": weekday}
    return {name: Vocabulary(counts) for name, counts in rows.items()}


class SplitWriter:
    """Writer of one split: its matrices, and a Parquet file of user, item, category, time and labels."""

    def __init__(
        self,
        name: str,
        schema: Schema,
        rows: int,
        groups: int,
        log: Log,
        vocabularies: dict[str, Vocabulary],
        work: Path,
        out: Path,
    ) -> None:
        self._log, self._vocabularies, self._schema = log, vocabularies, schema
        self._grouped, self._groups_written = groups < rows, 0
        self._parts = work / f"parts-{name}"
        self._parts.mkdir()
        self._parquet = out / f"{name}.parquet"
        self._matrices = SplitMatrices(out / name, schema, rows, groups if self._grouped else None)

    def write(self, rows: Exposures, features: Features) -> None:
        """Append a block of rows."""
        own = self._indices(features.categorical, grouped=False)
        shared = self._indices(features.group_categorical, grouped=True)
        numeric, group_numeric = features.numeric, features.group_numeric
        if not self._grouped:
            own, shared = np.concatenate([own, shared], axis=1), shared[:, :0]
            numeric, group_numeric = np.concatenate([numeric, group_numeric], axis=1), group_numeric[:, :0]
        blocks: dict[str, NDArray[np.generic]] = {
            "categorical": own,
            "numeric": numeric,
            "labels": rows.labels,
            "group_categorical": shared,
            "group_numeric": group_numeric,
            "sequence": self._vocabularies["category"](features.sequence),
            "cluster": self._log.users[rows.user],
        }
        if self._grouped:
            blocks[GROUP] = self._groups_written + np.repeat(np.arange(rows.groups), rows.size)
        self._groups_written += rows.groups
        self._matrices.write(blocks)
        self._write_people(rows)

    def _indices(self, codes_plus_one: NDArray[np.int64], grouped: bool) -> NDArray[np.int32]:
        """Return vocabulary indices of the rows' own or of the shared categorical fields."""
        fields = self._schema.of_kind("categorical")
        some = fields[-codes_plus_one.shape[1] :] if grouped else fields[: codes_plus_one.shape[1]]
        columns = [
            self._vocabularies[f.vocabulary](column) for f, column in zip(some, codes_plus_one.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _write_people(self, rows: Exposures) -> None:
        """Write the block as Parquet with raw ids, for people; the matrices hold everything else."""
        log = self._log
        columns = {
            "user": np.repeat(log.users[rows.user], rows.size),
            "item": log.items[rows.item],
            "category": log.categories[log.category[rows.item]],
            "time": np.repeat(rows.time.astype(np.int64), rows.size) + log.window.start,
            **{task.name: rows.labels[:, at] for at, task in enumerate(self._schema.tasks)},
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
