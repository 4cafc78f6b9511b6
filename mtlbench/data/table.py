"""From a table with one row per exposure to the matrices of a prepared dataset, in bounded memory.

A recipe passes one lazy frame per split. Each is written to Parquet once; vocabularies are counted on the
train file; then all are read again block by block and encoded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.matrix import SplitMatrices, blocks
from mtlbench.data.recipe import Built, Reporting
from mtlbench.data.splits import stable_code
from mtlbench.errors import DataError
from mtlbench.load import SPLITS, SplitName
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING, Field, Schema

LEAST_ROWS = 5
"""Fewest train rows for an id to get its own embedding."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The values with their own index, ascending; the first has index FIRST_ID."""

    values: pl.Series

    @property
    def size(self) -> int:
        """The number of indices."""
        return FIRST_ID + len(self.values)

    def __call__(self, column: pl.Series) -> NDArray[np.int32]:
        """Map values to indices: PADDING for null, OUT_OF_VOCABULARY for those rare or absent on train."""
        column = column.cast(self.values.dtype)
        index = np.full(len(column), OUT_OF_VOCABULARY, np.int32)
        if len(self.values):
            at = self.values.search_sorted(column).fill_null(0).clip(0, len(self.values) - 1)
            known = (self.values.gather(at) == column).fill_null(False).to_numpy()
            index[known] = at.to_numpy()[known] + FIRST_ID
        index[column.is_null().to_numpy()] = PADDING
        return index


def write_table(
    splits: Mapping[SplitName, pl.LazyFrame],
    schema: Schema,
    *,
    work: Path,
    out: Path,
    says: Reporting,
    least_rows: int = LEAST_ROWS,
    quirks: Mapping[str, int] | None = None,
    notes: Mapping[str, Any] | None = None,
    absent: Mapping[str, float] | None = None,
    periods: Mapping[SplitName, str] | None = None,
) -> Built:
    """Write the matrices and Parquet files of every split into `out`, numeric fields unscaled.

    Args:
        splits: rows in their final order, which must not depend on the number of threads. One column for each
            field (categorical: integers or strings, null for nothing there; numeric: numbers, null for
            missing; sequence: a list, most recent last), each task (0 or 1, or a value; null where it is
            not defined) and the cluster (an integer or a string); others go only to the Parquet file.
        schema: the fields and tasks; `cluster` names the cluster's column.
        work: scratch folder.
        out: folder of the prepared dataset.
        says: where progress goes.
        least_rows: an id with fewer train rows is out of vocabulary.
        quirks, notes, absent, periods: as in `Built`.

    Raises:
        DataError: a split has no row, or a task has only one class (or no value) in some split.
    """
    files = {split: out / f"{split}.parquet" for split in SPLITS}
    rows: dict[SplitName, int] = {}
    for i, split in enumerate(SPLITS):
        says.progress("write rows", i, len(SPLITS))
        splits[split].sink_parquet(files[split], compression="zstd", compression_level=1)
        rows[split] = pl.scan_parquet(files[split]).select(pl.len()).collect().item()
    _check_labels(files, schema, says)
    says.progress("vocabularies", 0, 0)
    vocabularies = fit_vocabularies(pl.scan_parquet(files["train"]), schema, least_rows)
    total, done = sum(rows.values()), 0
    for split in SPLITS:
        with SplitMatrices(out / split, schema, rows[split]) as matrices:
            for block in blocks(rows[split]):
                frame = pl.scan_parquet(files[split]).slice(block.start, block.stop - block.start).collect()
                matrices.write(_coded(frame, schema, vocabularies))
                done += len(frame)
                says.progress("code", done, total)
    return Built(
        schema=schema,
        vocabularies={name: vocabulary.size for name, vocabulary in vocabularies.items()},
        rows=rows,
        quirks=quirks or {},
        absent=absent or {},
        notes=notes or {},
        periods=periods or {},
    )


def fit_vocabularies(train: pl.LazyFrame, schema: Schema, least_rows: int) -> dict[str, Vocabulary]:
    """Collect the values with enough train rows, ascending; fields of the same vocabulary count together."""
    fields: dict[str, list[Field]] = {}
    for f in (*schema.of_kind("categorical"), *schema.of_kind("sequence")):
        fields.setdefault(f.vocabulary, []).append(f)
    found = {}
    for name, sharing in sorted(fields.items()):
        columns = [
            train.select(value=_last(f).list.explode() if f.kind == "sequence" else pl.col(f.name))
            for f in sharing
        ]
        counts = pl.concat(columns, how="vertical_relaxed").drop_nulls().group_by("value").agg(rows=pl.len())
        kept = counts.filter(pl.col("rows") >= least_rows).collect(engine="streaming")["value"]
        found[name] = Vocabulary(kept.sort())
    return found


def _last(field: Field) -> pl.Expr:
    """Return the most recent part of a sequence that fits into the field's length."""
    return pl.col(field.name).list.tail(field.length)


def _coded(
    frame: pl.DataFrame, schema: Schema, vocabularies: Mapping[str, Vocabulary]
) -> dict[str, NDArray[np.generic]]:
    """Encode one block of all matrices."""
    rows = len(frame)
    categorical = [vocabularies[f.vocabulary](frame[f.name]) for f in schema.of_kind("categorical")]
    numeric = [_floats(frame[f.name]) for f in schema.of_kind("numeric")]
    sequences = [_padded(frame, f, vocabularies[f.vocabulary]) for f in schema.of_kind("sequence")]
    return {
        "categorical": _side_by_side(categorical, rows, np.int32),
        "numeric": _side_by_side(numeric, rows, np.float32),
        "labels": _side_by_side([_floats(frame[name]) for name in schema.task_names], rows, np.float32),
        "group_categorical": np.empty((rows, 0), np.int32),
        "group_numeric": np.empty((rows, 0), np.float32),
        "sequence": np.concatenate(sequences, axis=1) if sequences else np.empty((rows, 0), np.int32),
        "cluster": cluster_codes(frame[schema.cluster]),
    }


def _floats(column: pl.Series) -> NDArray[np.float32]:
    """Convert to float32, with NaN for null, infinite or too large values."""
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan).astype(np.float32)


def _side_by_side(columns: list[NDArray[Any]], rows: int, dtype: type) -> NDArray[Any]:
    return np.stack(columns, axis=1) if columns else np.empty((rows, 0), dtype)


def _padded(frame: pl.DataFrame, field: Field, vocabulary: Vocabulary) -> NDArray[np.int32]:
    """Encode a sequence field as (rows, length) indices, right-aligned."""
    lists = frame.select(_last(field)).to_series().fill_null([])
    lengths = lists.list.len().to_numpy().astype(np.int64)
    padded = np.full((len(frame), field.length), PADDING, np.int32)
    padded[np.arange(field.length) >= field.length - lengths[:, None]] = vocabulary(
        lists.filter(lists.list.len() > 0).explode()
    )
    return padded


def cluster_codes(column: pl.Series) -> NDArray[np.int64]:
    """Return integers as they are, texts as 64 bits of their digest: no code depends on other rows."""
    if column.null_count():
        raise DataError(f"Column {column.name!r} says whose rows belong together; it may not be empty.")
    if column.dtype.is_integer():
        return column.cast(pl.Int64).to_numpy()
    known = column.unique()
    codes = np.fromiter((stable_code(text) for text in known.cast(pl.String)), np.uint64).view(np.int64)
    table = pl.DataFrame({"known": known, "code": codes})
    named = pl.DataFrame({"known": column})
    return named.join(table, on="known", how="left", maintain_order="left")["code"].to_numpy()


def _check_labels(files: Mapping[SplitName, Path], schema: Schema, says: Reporting) -> None:
    """Raise if a split is empty or a task cannot be learnt or judged in it."""
    again = f"Take more data, or mend it: {says.command}"
    for split, file in files.items():
        looks = [pl.len().alias("rows")]
        for task in schema.tasks:
            label = pl.col(task.name).cast(pl.Float64).fill_nan(None)
            strange = (label * (label - 1) != 0).sum() if task.kind == "binary" else pl.lit(0)
            looks.append(
                pl.struct(low=label.min(), high=label.max(), strange=strange).alias(f"of {task.name}")
            )
        seen = pl.scan_parquet(file).select(looks).collect(engine="streaming").row(0, named=True)
        if not seen["rows"]:
            raise DataError(f"The {split} split has no row. {again}")
        for task in schema.tasks:
            low, high, strange = seen[f"of {task.name}"].values()
            if strange:
                raise DataError(
                    f"Task {task.name} is binary, but {strange:,} labels in the {split} split are neither "
                    f"0 nor 1; they lie between {low:g} and {high:g}. (In a card of one's own, at_least "
                    f'makes two classes of them, and kind = "regression" learns the value.) {again}'
                )
            if low is None or low == high:
                found = "is defined on no row" if low is None else f"is {low:g} on every row"
                raise DataError(
                    f"Task {task.name} {found} of the {split} split: nothing can be learnt or judged. {again}"
                )
