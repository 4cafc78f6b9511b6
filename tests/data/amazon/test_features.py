"""Features against a slow, obvious reference: row by row, looking at earlier reviews alone."""

from math import log1p, nan
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlbench.data.amazon.features import (
    ALWAYS,
    CATEGORY,
    DAY,
    METADATA,
    NEUTRAL,
    NEVER,
    REVIEW,
    SMOOTHING,
    VERIFIED,
    absent,
    calendar,
    fields,
    past,
)
from mtlbench.data.amazon.reviews import REVIEW_FORM

Review = tuple[int, int, int, float, float]  # user, item, time, rating, verified
reviews = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 6).map(lambda n: n * DAY // 2),
        st.integers(1, 5).map(float),
        st.sampled_from([0.0, 1.0, nan]),
    ),
    min_size=1,
    max_size=25,
)


def share(before: list[Review], what: str, prior: float) -> float:
    """A smoothed mean over some reviews."""
    if what == "verified":
        values = [v for *_, v in before if v == v]
    else:
        values = [float(r == 5) if what == "fives" else r for *_, r, _ in before]
    return (sum(values) + SMOOTHING * prior) / (len(values) + SMOOTHING)


def reference(log: list[Review], row: Review) -> dict[str, float]:
    user, item, time, *_ = row
    before = [r for r in log if r[2] < time]
    found = {}
    for name, own in (
        ("user", [r for r in before if r[0] == user]),
        ("item", [r for r in before if r[1] == item]),
    ):
        found[f"{name}_reviews"] = log1p(len(own))
        for what, neutral in NEUTRAL.items():
            found[f"{name}_{what}"] = share(own, what, share(before, what, neutral))
        last = max((r[2] for r in own), default=None)
        found[f"{name}_days_since"] = NEVER if last is None else log1p((time - last) / DAY)
        if name == "item":
            found["item_age"] = log1p((time - min(r[2] for r in own)) / DAY) if own else 0.0
    return found


def computed(log: list[Review]) -> list[dict[str, float]]:
    user, item, time, rating, verified = zip(*log, strict=True)
    found, _ = past(
        np.array(user),
        np.array(item),
        np.array(time),
        np.array(rating, np.float32),
        np.array(verified, np.float32),
    )
    return [{name: float(column[i]) for name, column in found.items()} for i in range(len(log))]


@settings(deadline=None)
@given(log=reviews)
def test_the_past_is_what_a_reader_of_earlier_reviews_would_say(log: list[Review]) -> None:
    log = sorted(log, key=lambda r: r[2])
    for row, features in zip(log, computed(log), strict=True):
        assert features == pytest.approx(reference(log, row), rel=1e-5)


@settings(deadline=None)
@given(log=reviews, changed=reviews)
def test_nothing_later_and_nothing_of_the_row_itself_changes_a_feature(
    log: list[Review], changed: list[Review]
) -> None:
    """Ratings and flags of a day may be anything: no row of that day or before it can tell."""
    log = sorted(log, key=lambda r: r[2])
    day = log[len(log) // 2][2]
    kept = [r for r in log if r[2] < day]
    same_day = [r for r in log if r[2] == day]
    later = sorted((u, i, day + 1 + t, r, v) for u, i, t, r, v in changed)
    other = kept + [(u, i, t, 6 - r, nan) for u, i, t, r, v in same_day] + later
    count = len(kept) + len(same_day)
    assert computed(log)[:count] == computed(other)[:count]


def test_fields_are_what_the_files_can_fill() -> None:
    assert fields(categories=False, form=(), verified=False, metadata=False) == ALWAYS
    every = fields(categories=True, form=REVIEW_FORM, verified=True, metadata=True)
    assert every == ALWAYS + CATEGORY + METADATA + VERIFIED + REVIEW
    names = [f.name for f in every]
    assert len(set(names)) == len(names)
    assert not {"rating", "liked", "helpful", "verified", "votes"} & set(names)
    assert set(absent(every)) <= set(names)


def test_the_calendar_is_utc() -> None:
    moments: list[Any] = [0, 1_583_020_799_999, 1_583_020_800_000]  # Thursday; 29 February, 1 March 2020
    frame = pl.DataFrame({"time": moments}).with_columns(**calendar())
    assert frame.select("weekday", "month").rows() == [(4, 1), (6, 2), (7, 3)]
