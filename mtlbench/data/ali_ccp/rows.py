"""Code shared by both forms: sampling of users, labels and counts."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import polars as pl
from pydantic import Field as Setting

from mtlbench.data.splits import hashed, share_of_smallest

VALIDATION_SHARE = 0.1
"""Share of train's users that goes to validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliCcpSettings:
    """Settings that the user may choose.

    Attributes:
        users: number of users to sample of those in train; "all", or more than there are, takes all. 20,000
            give about 4 million train rows.
        values: largest number of values kept of a field with several, those of the largest weight.
        seed: seed of the draws of users and of validation.
    """

    users: Annotated[int, Setting(ge=1)] | Literal["all"] = 20_000
    values: Annotated[int, Setting(ge=1, le=200)] = 15
    seed: Annotated[int, Setting(ge=0, lt=2**32)] = 0


@dataclass(frozen=True, slots=True)
class Part:
    """The exposures of train, validation or test in file order.

    Attributes:
        frame: the fields, the tasks, and `user`.
        quirks: name -> count.
        malformed: file -> numbers of its first malformed lines.
    """

    frame: pl.LazyFrame
    quirks: dict[str, int]
    malformed: dict[str, list[int]] = field(default_factory=dict)


def share_of(users: pl.LazyFrame, settings: AliCcpSettings) -> float:
    """Return the share of all possible users that contains `settings.users` of these."""
    ids = users.select(pl.col("user").drop_nulls().unique()).collect(engine="streaming")["user"]
    return share_of_smallest(ids, settings.users, _salt(settings, 0))


def taken(share: float, settings: AliCcpSettings) -> pl.Expr:
    """Return whether a row's user is sampled; for a row without a user, whether its line is."""
    return hashed("user", share, _salt(settings, 0)) if share < 1 else pl.lit(True)


def held_out(settings: AliCcpSettings) -> pl.Expr:
    """Return whether a train row goes to validation: all rows of a tenth of the users do."""
    return hashed("user", VALIDATION_SHARE, _salt(settings, 1))


def user_or_line(user: pl.Expr) -> pl.Expr:
    """Return the user's id; a row without one is its own cluster, with minus its line number as id."""
    return pl.coalesce(user, -pl.col("line").cast(pl.Int64))


def labels(click: str, buy: str) -> dict[str, pl.Expr]:
    """Return the tasks' labels: `cvr` is defined on clicks, `ctcvr` everywhere."""
    return {
        "ctr": pl.col(click).cast(pl.Int8),
        "cvr": pl.when(pl.col(click) == 1).then(pl.col(buy)).cast(pl.Int8),
        "ctcvr": (pl.col(click) * pl.col(buy)).cast(pl.Int8),
    }


def possible(click: str, buy: str) -> pl.Expr:
    """Return whether a row is possible; purchases without a click are dropped as noise, as in AITM."""
    return (pl.col(click) == 1) | (pl.col(buy) == 0)


def counted(rows: pl.LazyFrame, **what: pl.Expr) -> dict[str, int]:
    """Count the rows for which each expression holds."""
    counts = rows.select(**{name: expression.sum() for name, expression in what.items()})
    return {name: int(n) for name, n in counts.collect(engine="streaming").row(0, named=True).items()}


def _salt(settings: AliCcpSettings, draw: int) -> int:
    """Return a different salt for each draw, or validation would be the sample."""
    return 2 * settings.seed + draw
