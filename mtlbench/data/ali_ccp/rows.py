"""What both forms share: which users are taken, labels, and what is counted."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import polars as pl
from pydantic import Field as Setting

from mtlbench.data.splits import hashed, share_of_smallest

VALIDATION_SHARE = 0.1
"""Of train's users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliCcpSettings:
    """What the user may choose.

    Attributes:
        users: how many to sample of those in train; "all", or more than there are, takes all. 20,000 give
            about 4 million train rows.
        values: the most values that are kept of a field that holds many, those of the largest weight.
        seed: of the draws of users and of validation.
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
    """The share of all possible users that holds `settings.users` of these."""
    ids = users.select(pl.col("user").drop_nulls().unique()).collect(engine="streaming")["user"]
    return share_of_smallest(ids, settings.users, _salt(settings, 0))


def taken(share: float, settings: AliCcpSettings) -> pl.Expr:
    """Whether a row's user is sampled; where it has none, whether its line is."""
    return hashed("user", share, _salt(settings, 0)) if share < 1 else pl.lit(True)


def held_out(settings: AliCcpSettings) -> pl.Expr:
    """Whether a train row is validation: all rows of a tenth of the users."""
    return hashed("user", VALIDATION_SHARE, _salt(settings, 1))


def user_or_line(user: pl.Expr) -> pl.Expr:
    """The user's id; where there is none the row is a cluster of its own, minus the number of its line."""
    return pl.coalesce(user, -pl.col("line").cast(pl.Int64))


def labels(click: str, buy: str) -> dict[str, pl.Expr]:
    """The tasks: `cvr` is defined on clicks, `ctcvr` everywhere."""
    return {
        "ctr": pl.col(click).cast(pl.Int8),
        "cvr": pl.when(pl.col(click) == 1).then(pl.col(buy)).cast(pl.Int8),
        "ctcvr": (pl.col(click) * pl.col(buy)).cast(pl.Int8),
    }


def possible(click: str, buy: str) -> pl.Expr:
    """Not a purchase without a click, which AITM drops as noise, and so do we."""
    return (pl.col(click) == 1) | (pl.col(buy) == 0)


def counted(rows: pl.LazyFrame, **what: pl.Expr) -> dict[str, int]:
    """How many rows each expression holds for."""
    counts = rows.select(**{name: expression.sum() for name, expression in what.items()})
    return {name: int(n) for name, n in counts.collect(engine="streaming").row(0, named=True).items()}


def _salt(settings: AliCcpSettings, draw: int) -> int:
    """Each draw has its own, or validation would be the sample."""
    return 2 * settings.seed + draw
