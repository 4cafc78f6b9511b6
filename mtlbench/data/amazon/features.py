"""Features of a review, as they were known when it was being written.

Of user and item: from reviews strictly before it, which means earlier days in 2014 and 2018. Votes are never
a feature: they are counted on the day of the dump. Priors of the smoothed rates: from all reviews before it.
"""

from collections.abc import Collection, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mtlbench.data.amazon.history import Floats, History, Ints
from mtlbench.data.amazon.reviews import REVIEW_FORM
from mtlbench.schema import Field

LENGTH = 10
"""Largest number of past items in the sequence field."""
SMOOTHING = 5.0
"""Weight of the prior in a mean rating or a share, in reviews."""
DAY = 86_400_000
"""Length of a day in milliseconds."""
NEVER = float(np.log1p(10_000))
"""Log days since a review that never happened: about the age of the shop."""
NEUTRAL = {"rating": 3.0, "fives": 0.2, "verified": 0.5}
"""Priors before the first review: the means of uniformly drawn ratings and flags."""

REVIEW = tuple(Field(name=name, kind="numeric", of="review") for name in REVIEW_FORM)
"""Fields used if the files hold texts."""
VERIFIED = tuple(Field(name=f"{of}_verified", kind="numeric", of=of) for of in ("user", "item"))
"""Fields used if the files say whether the reviewer bought the item."""
METADATA = (
    Field(name="subcategory", kind="categorical", vocabulary="subcategory", of="category"),
    Field(name="brand", kind="categorical", vocabulary="brand", of="item"),
    Field(name="price", kind="numeric", of="item"),
)
"""Fields used if there is metadata."""
CATEGORY = (Field(name="category", kind="categorical", vocabulary="category", of="category"),)
"""Field used if there are several categories."""
ALWAYS = (
    Field(name="user", kind="categorical", vocabulary="user", of="user"),
    Field(name="item", kind="categorical", vocabulary="item", of="item"),
    Field(name="weekday", kind="categorical", vocabulary="weekday", of="time"),
    Field(name="month", kind="categorical", vocabulary="month", of="time"),
    *(
        Field(name=f"{of}_{what}", kind="numeric", of=of)
        for of in ("user", "item")
        for what in ("reviews", "rating", "fives", "days_since")
    ),
    Field(name="item_age", kind="numeric", of="item"),
    Field(name="recent_items", kind="sequence", vocabulary="item", length=LENGTH, of="user"),
)
ABSENT = {"user_days_since": NEVER, "item_days_since": NEVER, "user_reviews": 0.0, "item_reviews": 0.0}
"""The values of numeric fields that mean "nothing there"."""


def fields(*, categories: bool, form: Collection[str], verified: bool, metadata: bool) -> tuple[Field, ...]:
    """Return the fields that the files provide; `form` names those of REVIEW_FORM."""
    return (
        ALWAYS
        + CATEGORY * categories
        + METADATA * metadata
        + VERIFIED * verified
        + tuple(f for f in REVIEW if f.name in form)
    )


def absent(chosen: Collection[Field]) -> dict[str, float]:
    """Return the entries of ABSENT for these fields."""
    return {f.name: ABSENT[f.name] for f in chosen if f.name in ABSENT}


def past(
    user: Ints, item: Ints, time: Ints, rating: NDArray[np.float32], verified: NDArray[np.float32]
) -> tuple[dict[str, NDArray[np.float32]], History]:
    """Compute numeric features of the past of every review's user and item.

    Args:
        user, item: (reviews,) codes.
        time: (reviews,) milliseconds, ascending.
        rating: (reviews,) 1 to 5.
        verified: (reviews,) 0, 1, or NaN where unknown.

    Returns:
        name -> (reviews,) values; and the users' history.
    """
    known = ~np.isnan(verified)
    values = {"rating": rating, "fives": rating == 5, "verified": np.nan_to_num(verified)}
    weight = {"rating": np.ones(len(time)), "fives": np.ones(len(time)), "verified": known}
    everyone = History(np.zeros_like(time), time)
    prior = {
        what: _smoothed(everyone.total(of), everyone.total(weight[what]), NEUTRAL[what])
        for what, of in values.items()
    }
    found: dict[str, NDArray[np.float32]] = {}
    users = History(user, time)
    for name, history in (("user", users), ("item", History(item, time))):
        count = history.count()
        found[f"{name}_reviews"] = np.log1p(count).astype(np.float32)
        for what, of in values.items():
            mean = _smoothed(history.total(of), history.total(weight[what]), prior[what])
            found[f"{name}_{what}"] = mean.astype(np.float32)
        found[f"{name}_days_since"] = np.where(count > 0, _log_days(time - history.last()), NEVER).astype(
            np.float32
        )
        if name == "item":
            found["item_age"] = np.where(count > 0, _log_days(time - history.first()), 0).astype(np.float32)
    return found, users


def calendar() -> Mapping[str, pl.Expr]:
    """Return expressions for weekday (1 is Monday) and month of `time`, UTC."""
    moment = pl.from_epoch("time", time_unit="ms")
    return {"weekday": moment.dt.weekday(), "month": moment.dt.month()}


def _smoothed(total: Floats, count: Floats, prior: Floats | float) -> Floats:
    return (total + SMOOTHING * prior) / (count + SMOOTHING)


def _log_days(milliseconds: Ints) -> Floats:
    days: Floats = np.log1p(np.maximum(milliseconds, 0) / DAY)
    return days
