"""Tables of encoded ids with a header line: `click,purchase,101,121,...`, one row per exposure.

AITM's table has 18 ids, where 0 means "absent, or fewer than 11 times on train". torch-rechub's has 23, and
eight columns `D...`, the values of some of them scaled to 0 .. 1; of a field with several values it keeps the
last.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mtlbench.data.ali_ccp.rows import (
    AliCcpSettings,
    Part,
    counted,
    labels,
    possible,
    share_of,
    taken,
    user_or_line,
)
from mtlbench.data.ali_ccp.skeleton import ITEM, ITEM_MANY, USER, USER_HISTORY, about
from mtlbench.data.lines import Column, header, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError
from mtlbench.schema import Field

CODES = (*USER, *USER_HISTORY, *ITEM, *ITEM_MANY)


def fields(tables: Sequence[Path], command: str) -> tuple[Field, ...]:
    """Return the input columns of these files, in the order of the first file.

    Raises:
        DataError: the files do not have the same columns.
    """
    found = [[name for name in header(path) if name.removeprefix("D") in CODES] for path in tables]
    for path, names in zip(tables, found, strict=True):
        if sorted(names) != sorted(found[0]):
            raise DataError(
                f"{path.name} has the columns {', '.join(names)}, {tables[0].name} has "
                f"{', '.join(found[0])}. Give files of one preprocessing: {command}"
            )
    return tuple(
        Field(name=name, kind="numeric", of=about(name.removeprefix("D")))
        if name.startswith("D")
        else Field(name=name, kind="categorical", vocabulary=name, of=about(name))
        for name in found[0]
    )


def read_part(
    table: Path,
    inputs: Sequence[Field],
    share: float | None,
    settings: AliCcpSettings,
    work: Path,
    says: Reporting,
) -> tuple[Part, float]:
    """Read the exposures of the sampled users; also return the share of users that was sampled.

    Raises:
        DataError: more than 0.1 % of the lines are malformed.
    """
    says.progress(f"read {table.name}", 0, 0)
    ids = [f.name for f in inputs if f.kind == "categorical"]
    numbers = [f.name for f in inputs if f.kind == "numeric"]
    label = Column(pl.Int64, among=(0, 1))
    columns = {"click": label, "purchase": label}
    columns |= dict.fromkeys(ids, Column(pl.Int64)) | dict.fromkeys(numbers, Column(pl.Float64))
    lines = read_lines(table, columns, work / "lines.parquet", says.command)
    present = {code: pl.when(pl.col(code) != 0).then(pl.col(code)) for code in ids}
    rows = lines.frame.with_columns(**present, user=present.get("101", pl.lit(None, pl.Int64)))
    if share is None:
        share = share_of(rows, settings)
    rows = rows.with_columns(known=pl.col("user").is_not_null(), user=user_or_line(pl.col("user")))
    rows = rows.with_columns(taken=taken(share, settings))
    quirks = {"rows": lines.rows, "malformed_rows": lines.malformed}
    quirks |= counted(
        rows,
        rows_of_other_users=~pl.col("taken"),
        purchases_without_click=pl.col("taken") & ~possible("click", "purchase"),
        rows_without_user=pl.col("taken") & ~pl.col("known"),
    )
    wanted = rows.filter(pl.col("taken") & possible("click", "purchase"))
    exposures = wanted.select("line", "user", *ids, *numbers, **labels("click", "purchase"))
    return Part(exposures, quirks, {table.name: list(lines.first_malformed)}), share
