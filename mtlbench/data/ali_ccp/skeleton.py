"""The raw form: a skeleton of exposures, and common features that many of them share.

    sample_skeleton_PART.csv    exposure, click, buy, common feature index, number of features, features
    common_features_PART.csv    common feature index, number of features, features

No header; for the format of features see features.py. Polars streams everything; only the common features of
the sampled users are in memory.
"""

from pathlib import Path

import polars as pl

from mtlbench.data.ali_ccp import features
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
from mtlbench.data.lines import Column, Lines, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.schema import Field

USER = ("101", "121", "122", "124", "125", "126", "127", "128", "129")
USER_HISTORY = ("109_14", "110_14", "127_14", "150_14")
ITEM = ("205", "206", "207", "216", "508", "509", "702", "301")
ITEM_MANY = ("210", "853")
WEIGHTED, WEIGHTED_MANY = ("508", "509", "702"), ("853",)
"""Codes of fields that cross the user's history with the item: their value is the strength of the history."""
ABOUT = {"2": "item", "3": "context", "5": "match", "7": "match", "8": "match", "1": "user"}
"""First digit of a field's code -> the entity that it describes."""

LINES = {
    "skeleton": {
        "exposure": Column(pl.Int64),
        "click": Column(pl.Int64, among=(0, 1)),
        "buy": Column(pl.Int64, among=(0, 1)),
        "index": Column(pl.String),
        "number": Column(pl.Int64),
        "features": Column(pl.String),
    },
    "common": {"index": Column(pl.String), "number": Column(pl.Int64), "features": Column(pl.String)},
}


def fields(values: int) -> tuple[Field, ...]:
    """Return the input columns of this form."""
    return (
        *(Field(name=code, kind="categorical", vocabulary=code, of=about(code)) for code in (*USER, *ITEM)),
        *(Field(name=f"weight_{code}", kind="numeric", of="match") for code in (*WEIGHTED, *WEIGHTED_MANY)),
        *(
            Field(name=code, kind="sequence", vocabulary=code, length=values, of=about(code))
            for code in (*USER_HISTORY, *ITEM_MANY)
        ),
    )


def about(code: str) -> str:
    """Return the entity that a field describes."""
    return ABOUT[code[0]]


def read_part(
    skeleton: Path, common: Path, share: float | None, settings: AliCcpSettings, work: Path, says: Reporting
) -> tuple[Part, float]:
    """Read the exposures of the sampled users; also return the share of users that was sampled.

    Args:
        skeleton, common: the two files of a part.
        share: share of users to sample; None derives it from the users of this part.
        settings: the user's settings.
        work: a scratch folder for this part only.
        says: receives progress, and has the command for messages.

    Raises:
        DataError: more than 0.1 % of the lines of a file are malformed.
    """
    says.progress("read common features", 0, 0)
    shared = read_common(common, work, says)
    if share is None:
        share = share_of(shared.frame, settings)
    users, different = known_users(shared, work)
    user_fields(shared, users, share, settings).sink_parquet(work / "common.parquet")
    says.progress("read skeleton", 0, 0)
    rows = read_skeleton(skeleton, users, share, settings, work, says)
    quirks = {
        "rows": rows.rows,
        "malformed_rows": rows.malformed,
        **_odd(rows.frame),
        "common_rows": shared.rows,
        "common_malformed_rows": shared.malformed,
        "common_rows_repeated": shared.rows - shared.malformed - different,
        **counted(shared.frame, common_rows_without_user=pl.col("user").is_null()),
    }
    # Written once, since parsing is costly and train and validation read it separately.
    exposures = _exposures(rows.frame, settings).join(
        pl.scan_parquet(work / "common.parquet"), on="index", how="left", maintain_order="left"
    )
    exposures.sink_parquet(work / "exposures.parquet", compression="zstd", compression_level=1)
    malformed = {skeleton.name: list(rows.first_malformed), common.name: list(shared.first_malformed)}
    return Part(pl.scan_parquet(work / "exposures.parquet"), quirks, malformed), share


def read_common(path: Path, work: Path, says: Reporting) -> Lines:
    """Read the lines of the common file, with the `user` of each."""
    columns = LINES["common"]

    def named(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(user=features.single("101"), malformed=features.damaged())

    parquet = work / "lines-common.parquet"
    return read_lines(path, columns, parquet, says.command, names=list(columns), then=named)


def known_users(shared: Lines, work: Path) -> tuple[pl.LazyFrame, int]:
    """Return `index, user, line`, one row per index, the first in the file; and the number of rows."""
    first = shared.frame.group_by("index").agg(
        user=pl.col("user").sort_by("line").first(), line=pl.col("line").min()
    )
    first.sink_parquet(work / "users.parquet")
    users = pl.scan_parquet(work / "users.parquet")
    return users, int(users.select(pl.len()).collect().item())


def user_fields(shared: Lines, users: pl.LazyFrame, share: float, settings: AliCcpSettings) -> pl.LazyFrame:
    """Return the user's fields, one row per index, of the sampled users and of those without an id."""
    rows = shared.frame.filter(pl.col("user").is_null() | taken(share, settings))
    return rows.join(users.select("index", "line"), on=["index", "line"], how="semi").select(
        "index",
        **{code: features.single(code) for code in USER},
        **{code: features.many(code, settings.values) for code in USER_HISTORY},
    )


def read_skeleton(
    path: Path, users: pl.LazyFrame, share: float, settings: AliCcpSettings, work: Path, says: Reporting
) -> Lines:
    """Read the lines of the skeleton with `user`, whether `taken`, and the features of those that are."""
    columns = LINES["skeleton"]
    known = users.select("index", "user", common=pl.lit(True))

    def sampled(rows: pl.LazyFrame) -> pl.LazyFrame:
        joined = rows.join(known, on="index", how="left", maintain_order="left")
        joined = joined.with_columns(user=user_or_line(pl.col("user")), malformed=features.damaged())
        joined = joined.with_columns(taken=taken(share, settings))
        return joined.with_columns(features=pl.when("taken").then("features"))

    return read_lines(path, columns, work / "lines.parquet", says.command, names=list(columns), then=sampled)


def _odd(rows: pl.LazyFrame) -> dict[str, int]:
    """Count oddities in the skeleton's lines."""
    return counted(
        rows,
        rows_of_other_users=~pl.col("taken"),
        purchases_without_click=pl.col("taken") & ~possible("click", "buy"),
        rows_without_common_features=pl.col("taken") & pl.col("common").is_null(),
        rows_with_several_values_of_a_single_field=pl.col("taken") & features.repeats(ITEM),
        rows_with_another_number_of_features=pl.col("taken") & features.miscounted(),
    )


def _exposures(rows: pl.LazyFrame, settings: AliCcpSettings) -> pl.LazyFrame:
    """Return the taken rows, with labels and the item's fields."""
    return rows.filter(pl.col("taken") & possible("click", "buy")).select(
        "line",
        "exposure",
        "user",
        "index",
        **labels("click", "buy"),
        **{code: features.single(code) for code in ITEM},
        **{code: features.many(code, settings.values) for code in ITEM_MANY},
        **{f"weight_{code}": features.value(code) for code in WEIGHTED},
        **{f"weight_{code}": features.largest(code) for code in WEIGHTED_MANY},
    )
