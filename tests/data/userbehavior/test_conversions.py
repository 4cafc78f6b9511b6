"""What followed the first view of an item, against a reading of the log event by event."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlbench.data.userbehavior.conversions import VIEWS, first_views, without_view
from mtlbench.data.userbehavior.log import Events
from mtlbench.data.userbehavior.window import DAY
from mtlbench.load import SPLITS

USERS, ITEMS = 3, 3
Event = tuple[int, int, int, int]
"""user, item, behaviour, seconds since the window's start"""
Row = tuple[int, int, int, tuple[int, ...]]
"""user, item, time, labels"""

TIMES = st.sampled_from([0, 1, 5, DAY - 1, DAY // 2, DAY // 2 + 1])
EVENTS = st.builds(
    lambda user, item, behaviour, day, time: (user, item, behaviour, day * DAY + time),
    *(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(0, 3), st.integers(0, 3), TIMES),
)


def day_of(events: list[Event], day: int) -> Events:
    """One day's events as the log gives them: each once, by (user, time, item, behaviour)."""
    today = sorted({(u, t, i, b) for u, i, b, t in events if t // DAY == day})
    user, time, item, behaviour = np.array(today, np.int64).reshape(-1, 4).T
    return Events(user, item, behaviour, time)


def rows_of(events: list[Event], day: int) -> list[Row]:
    found = first_views(day_of(events, day), day_of(events, day + 1), ITEMS)
    columns = (found.user.tolist(), found.item.tolist(), found.time.tolist(), found.labels.tolist())
    return [(u, i, t, tuple(labels)) for u, i, t, labels in zip(*columns, strict=True)]


def reference(events: list[Event], day: int) -> list[Row]:
    """Event by event."""
    first: dict[tuple[int, int], int] = {}
    for user, item, behaviour, time in events:
        if behaviour == 0 and time // DAY == day:
            first[user, item] = min(time, first.get((user, item), time))
    rows = []
    for (user, item), viewed in first.items():
        labels = [0, 0, 0]
        for other, thing, behaviour, time in events:
            if (other, thing) == (user, item) and behaviour > 0 and viewed < time <= viewed + 24 * 3600:
                labels[behaviour - 1] = 1
        rows.append((user, item, viewed, tuple(labels)))
    return sorted(rows, key=lambda row: (row[0], row[2], row[1]))


@given(st.lists(EVENTS, max_size=60), st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_labels_are_those_of_the_obvious_reading(events: list[Event], day: int) -> None:
    assert rows_of(events, day) == reference(events, day)


@pytest.mark.parametrize(
    ("seconds", "label"),
    [(-1, 0), (0, 0), (1, 1), (24 * 3600, 1), (24 * 3600 + 1, 0)],
)
def test_the_24_hours_begin_after_the_view_and_end_with_their_last_second(seconds: int, label: int) -> None:
    view = DAY + 3600
    assert rows_of([(0, 1, 0, view), (0, 1, 3, view + seconds)], 1) == [(0, 1, view, (0, 0, label))]


def test_only_the_first_view_of_a_day_is_a_row() -> None:
    events = [(0, 1, 0, DAY + 10), (0, 1, 0, DAY + 20), (0, 1, 0, 2 * DAY + 5), (0, 1, 1, DAY + 15)]
    assert rows_of(events, 1) == [(0, 1, DAY + 10, (1, 0, 0))]
    assert rows_of(events, 2) == [(0, 1, 2 * DAY + 5, (0, 0, 0))]


def test_what_others_do_or_with_another_item_is_no_label() -> None:
    events = [(0, 1, 0, 10), (1, 1, 3, 20), (0, 2, 3, 30)]
    assert rows_of(events, 0) == [(0, 1, 10, (0, 0, 0))]


def test_without_a_view_there_is_no_row() -> None:
    """The pair is counted instead."""
    events = [(0, 1, 3, 10), (0, 1, 1, 20), (0, 2, 0, 5), (0, 2, 2, 6), (1, 2, 2, 7)]
    assert rows_of(events, 0) == [(0, 2, 5, (0, 1, 0))]
    assert without_view(day_of(events, 0), ITEMS) == 2


def test_every_label_is_closed_when_the_next_split_opens_and_the_last_when_the_log_ends() -> None:
    days = [VIEWS.splits[split] for split in SPLITS]
    for one, other in pairwise(days):
        assert one[-1] + 2 == other[0]
    assert days[-1][-1] + 2 == VIEWS.days
    assert days[0][0] > 0, "a day before train feeds the histories"
