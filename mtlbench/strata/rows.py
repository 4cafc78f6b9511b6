"""The rows of a prepared dataset with their raw ids, as stored in its Parquet files."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mtlbench.errors import DataError
from mtlbench.load import Prepared, SplitName
from mtlbench.schema import Schema

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Rows:
    """The rows of a prepared dataset with their raw ids."""

    prepared: Prepared

    @cached_property
    def schema(self) -> Schema:
        """The schema with all tasks, including optional ones."""
        return Schema.from_json(self.prepared.manifest["schema"])

    @cached_property
    def columns(self) -> "Mapping[str, pl.DataType]":
        """Column name -> type."""
        return self.scan("test").collect_schema()

    def scan(self, split: SplitName) -> "pl.LazyFrame":
        """Scan the split's Parquet file, in the order of the matrices.

        Raises:
            DataError: the file is missing.
        """
        import polars as pl

        file = self.prepared.path / f"{split}.parquet"
        if not file.is_file():
            raise DataError(
                f"{file} is missing, so the rows have no strata. Prepare again: "
                f"{self.prepared.manifest['command']} --force"
            )
        return pl.scan_parquet(file)

    def test(self, name: str) -> "pl.Series":
        """Return a column of the test rows."""
        return self.scan("test").select(name).collect().to_series()

    def id_of(self, thing: str) -> str:
        """Return the column with the ids of users or items, the one with the most values; empty if none."""
        fields = [f for f in self.schema.of_kind("categorical") if f.of == thing and f.name in self.columns]
        sizes = self.prepared.vocabularies
        return max(fields, key=lambda f: sizes[f.vocabulary]).name if fields else ""

    @property
    def user(self) -> str:
        """The column that says whose row it is, by user, else by cluster; empty if every row is its own."""
        counts = self.prepared.manifest["splits"]["test"]
        own = counts["clusters"] == counts["rows"] or self.schema.cluster not in self.columns
        return self.id_of("user") or ("" if own else self.schema.cluster)
