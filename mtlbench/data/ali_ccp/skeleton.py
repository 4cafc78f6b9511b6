"""The raw form: a skeleton of exposures, and common features that many of them share.

    sample_skeleton_PART.csv    exposure, click, buy, common feature index, number of features, features
    common_features_PART.csv    common feature index, number of features, features

No header. Features are `field \\x02 feature \\x03 value`, with \\x01 between them. Polars streams it all; in
memory are the common features of the sampled users.
"""

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
from mtlbench.data.lines import Column, read_lines
from mtlbench.data.recipe import Reporting
from mtlbench.schema import Field

USER = ("101", "121", "122", "124", "125", "126", "127", "128", "129")
USER_HISTORY = ("109_14", "110_14", "127_14", "150_14")
ITEM = ("205", "206", "207", "216", "508", "509", "702", "301")
ITEM_MANY = ("210", "853")
WEIGHTED, WEIGHTED_MANY = ("508", "509", "702"), ("853",)
"""Crossings of the user's history with the item: their value says how strong the history is."""
ABOUT = {"2": "item", "3": "context", "5": "match", "7": "match", "8": "match", "1": "user"}
"""First digit of a field's code -> what it describes."""

_FEATURE = "[0-9_]+\x02-?[0-9]+\x03[-+0-9.eE]+"
SHAPE = f"^{_FEATURE}(?:\x01{_FEATURE})*$"
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
    """The input columns of this form."""
    return (
        *(Field(name=code, kind="categorical", vocabulary=code, of=about(code)) for code in (*USER, *ITEM)),
        *(Field(name=f"weight_{code}", kind="numeric", of="match") for code in (*WEIGHTED, *WEIGHTED_MANY)),
        *(
            Field(name=code, kind="sequence", vocabulary=code, length=values, of=about(code))
            for code in (*USER_HISTORY, *ITEM_MANY)
        ),
    )


def about(code: str) -> str:
    """What a field describes."""
    return ABOUT[code[0]]


def read_part(
    skeleton: Path, common: Path, share: float | None, settings: AliCcpSettings, work: Path, says: Reporting
) -> tuple[Part, float]:
    """The exposures of the sampled users, and the share of users that was sampled.

    Args:
        skeleton, common: the two files of a part.
        share: of users to sample; None derives it from the users of this part.
        settings: as the user chose.
        work: a scratch folder for this part alone.
        says: takes progress, and gives the command for messages.

    Raises:
        DataError: more than 0.1 % of the lines of a file are malformed.
    """
    says.progress("read common features", 0, 0)
    shared = read_lines(
        common,
        LINES["common"],
        work / "lines-common.parquet",
        says.command,
        names=list(LINES["common"]),
        then=_users,
    )
    if share is None:
        share = share_of(shared.frame, settings)
    indices = _first_of_each(shared.frame)
    chosen = indices.with_columns(taken=taken(share, settings) & pl.col("user").is_not_null())
    chosen.select("index", "user", "taken").sink_parquet(work / "indices.parquet")
    _common(shared.frame, indices, share, settings).sink_parquet(work / "common.parquet")

    says.progress("read skeleton", 0, 0)

    def sampled(rows: pl.LazyFrame) -> pl.LazyFrame:
        """With user, whether taken, and the features of those that are."""
        known = pl.scan_parquet(work / "indices.parquet")
        joined = rows.join(known, on="index", how="left", maintain_order="left")
        joined = joined.with_columns(user=user_or_line(pl.col("user")), common=pl.col("taken").is_not_null())
        joined = joined.with_columns(taken=taken(share, settings), malformed=_malformed())
        return joined.with_columns(features=pl.when("taken").then("features"))

    rows = read_lines(
        skeleton,
        LINES["skeleton"],
        work / "lines.parquet",
        says.command,
        names=list(LINES["skeleton"]),
        then=sampled,
    )
    wanted = pl.col("taken") & possible("click", "buy")
    quirks = {"rows": rows.rows, "malformed_rows": rows.malformed}
    quirks |= counted(
        rows.frame,
        rows_of_other_users=~pl.col("taken"),
        purchases_without_click=pl.col("taken") & ~possible("click", "buy"),
        rows_without_common_features=pl.col("taken") & ~pl.col("common"),
        rows_with_several_values_of_a_single_field=pl.col("taken") & _repeats(ITEM),
        rows_with_another_number_of_features=pl.col("taken") & _miscounted(),
    )
    different = int(indices.select(pl.len()).collect(engine="streaming").item())
    quirks |= {
        "common_rows": shared.rows,
        "common_malformed_rows": shared.malformed,
        "common_rows_repeated": shared.rows - shared.malformed - different,
        **counted(shared.frame, common_rows_without_user=pl.col("user").is_null()),
    }
    exposures = (
        rows.frame.filter(wanted)
        .select(
            "line",
            "exposure",
            "user",
            "index",
            **labels("click", "buy"),
            **{code: _single(code) for code in ITEM},
            **{code: _many(code, settings.values) for code in ITEM_MANY},
            **{f"weight_{code}": _value(code) for code in WEIGHTED},
            **{f"weight_{code}": _largest(code) for code in WEIGHTED_MANY},
        )
        .join(pl.scan_parquet(work / "common.parquet"), on="index", how="left", maintain_order="left")
    )
    # Written once: train and validation read it apart, and taking it to pieces is the costly part.
    exposures.sink_parquet(work / "exposures.parquet", compression="zstd", compression_level=1)
    malformed = {skeleton.name: list(rows.first_malformed), common.name: list(shared.first_malformed)}
    return Part(pl.scan_parquet(work / "exposures.parquet"), quirks, malformed), share


def _users(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(user=_single("101"), malformed=_malformed())


def _first_of_each(common: pl.LazyFrame) -> pl.LazyFrame:
    """Index and user, one row an index: the first in the file."""
    return common.group_by("index").agg(
        user=pl.col("user").sort_by("line").first(), line=pl.col("line").min()
    )


def _common(
    rows: pl.LazyFrame, indices: pl.LazyFrame, share: float, settings: AliCcpSettings
) -> pl.LazyFrame:
    """The user's fields, one row an index, of the sampled users and of those without an id."""
    wanted = pl.col("user").is_null() | taken(share, settings)
    return (
        rows.filter(wanted)
        .join(indices.select("index", "line"), on=["index", "line"], how="semi")
        .select(
            "index",
            **{code: _single(code) for code in USER},
            **{code: _many(code, settings.values) for code in USER_HISTORY},
        )
    )


def _malformed() -> pl.Expr:
    return pl.col("malformed") | ~pl.col("features").str.contains(SHAPE).fill_null(False)


def _single(code: str) -> pl.Expr:
    """The field's feature, the first where there are several; null where there is none."""
    return pl.col("features").str.extract(f"(?:^|\x01){code}\x02(-?[0-9]+)\x03").cast(pl.Int64, strict=False)


def _entries(code: str) -> pl.Expr:
    """All `feature \\x03 value` of the field."""
    return pl.col("features").str.extract_all(f"(?:^|\x01){code}\x02[^\x01]*")


def _many(code: str, most: int) -> pl.Expr:
    """The features of the field, that of the largest value last."""
    entry = pl.element()
    feature = entry.str.extract("\x02(-?[0-9]+)\x03").cast(pl.Int64, strict=False)
    value = entry.str.extract("\x03(.*)$").cast(pl.Float64, strict=False)
    ordered = feature.sort_by(value, feature, nulls_last=False)
    return _entries(code).list.eval(ordered.drop_nulls().tail(most))


def _value(code: str) -> pl.Expr:
    """The value of the field, 0 where it is absent: the user has no such history."""
    value = pl.col("features").str.extract(f"(?:^|\x01){code}\x02-?[0-9]+\x03([^\x01]*)")
    return value.cast(pl.Float64, strict=False).fill_null(0.0)


def _largest(code: str) -> pl.Expr:
    """The largest value of the field, 0 where it is absent."""
    value = pl.element().str.extract("\x03(.*)$").cast(pl.Float64, strict=False)
    return _entries(code).list.eval(value).list.max().fill_null(0.0)


def _repeats(codes: tuple[str, ...]) -> pl.Expr:
    there = pl.col("features").str.count_matches(f"(?:^|\x01)(?:{'|'.join(codes)})\x02")
    return there > pl.sum_horizontal(_single(code).is_not_null() for code in codes)


def _miscounted() -> pl.Expr:
    return pl.col("features").str.count_matches("\x03", literal=True) != pl.col("number")
