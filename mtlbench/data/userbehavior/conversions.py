"""Conversions: what a user did with an item within 24 hours of first viewing it that day.

Nothing is sampled here, unlike in `exposures`: a row is a page view in the log, and the labels say what
followed it.
"""

from dataclasses import replace

import numpy as np

from mtlbench.data.userbehavior.exposures import Exposures, Ints
from mtlbench.data.userbehavior.log import Events
from mtlbench.data.userbehavior.window import DAY, TAOBAO

VIEWS = replace(
    TAOBAO,
    splits={"train": range(1, 4), "validation": range(5, 6), "test": range(7, 8)},
    tasks=TAOBAO.behaviours[1:],
)
"""UserBehavior's window, for conversions. The day after each split has no rows: labels of the day before end
in it. So every label is final when the next split starts, and the last one when the log ends."""


def first_views(today: Events, tomorrow: Events, items: int) -> Exposures:
    """Build a row for the first page view today of each (user, item), labelled with what followed.

    Args:
        today, tomorrow: events of two consecutive days.
        items: number of item codes.

    Returns:
        Rows by (user, time, item), each its own group. A label is 1 if the user's action on the item came
        after the view's second and at most 24 hours later.
    """
    viewed = np.flatnonzero(today.behaviour == 0)
    _, first = np.unique(today.user[viewed] * items + today.item[viewed], return_index=True)
    rows = today.where(
        viewed[np.sort(first)]
    )  # events are in (user, time, item) order, and so are the first views
    pair = rows.user * items + rows.item
    labels = [_follows(pair, rows.time, today, tomorrow, items, k) for k in range(1, len(VIEWS.behaviours))]
    return Exposures(rows.user, rows.item, rows.time, (np.stack(labels, axis=1) > 0).astype(np.uint8))


def without_view(today: Events, items: int) -> int:
    """Count the (user, item) pairs with an event today but no page view: they make no row."""
    pair = today.user * items + today.item
    return len(np.setdiff1d(pair, pair[today.behaviour == 0]))


def _follows(pair: Ints, time: Ints, today: Events, tomorrow: Events, items: int, behaviour: int) -> Ints:
    """Count, for each row, the events of one behaviour in (time, time + 24 h]."""
    keys = []
    for day in (today, tomorrow):
        events = day.where(day.behaviour == behaviour)
        keys.append((events.user * items + events.item) * VIEWS.seconds + events.time)
    key, start = np.sort(np.concatenate(keys)), pair * VIEWS.seconds + time
    found: Ints = np.searchsorted(key, start + DAY, side="right") - np.searchsorted(key, start, side="right")
    return found
