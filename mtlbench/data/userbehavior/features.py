"""Features of an exposure, as they were known just before it.

Of the user: from events strictly before the exposure's second. Of item and category: from the days
strictly before its day, over the whole log. Priors of the smoothed rates: from day one alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.userbehavior.exposures import Exposures
from mtlbench.data.userbehavior.log import BEHAVIOURS, DAY, DAYS, Events
from mtlbench.schema import Field

Ints = NDArray[np.int64]

LENGTH = 20
"""Most past events in the sequence field."""
SMOOTHING = 20.0
"""Events' worth of prior in a conversion rate."""
NEVER = float(np.log1p(DAYS * DAY))
"""Log seconds since an event that never was: as if it lay a whole window back."""
SATURDAY = 5
"""Weekday of the window's first day; Monday is 0."""

_CONVERSIONS = BEHAVIOURS[1:]
CATEGORICAL = (
    Field(name="user", kind="categorical", vocabulary="user", of="user"),
    Field(name="item", kind="categorical", vocabulary="item", of="item"),
    Field(name="category", kind="categorical", vocabulary="category", of="category"),
    Field(name="hour", kind="categorical", vocabulary="hour", of="time"),
    Field(name="weekday", kind="categorical", vocabulary="weekday", of="time"),
    Field(name="last_category", kind="categorical", vocabulary="category", of="user"),
)
NUMERIC = (
    *(
        Field(name=f"{of}_{behaviour}", kind="numeric", of=of)
        for of in ("user", "item", "category", "user_category")
        for behaviour in BEHAVIOURS
    ),
    *(
        Field(name=f"{of}_{behaviour}_rate", kind="numeric", of=of)
        for of in ("user", "item", "category")
        for behaviour in _CONVERSIONS
    ),
    Field(name="user_seconds_since", kind="numeric", of="user"),
    Field(name="user_category_seconds_since", kind="numeric", of="user_category"),
    Field(name="user_item_events", kind="numeric", of="user_item"),
)
SEQUENCE = (
    Field(name="recent_categories", kind="sequence", vocabulary="category", length=LENGTH, of="user"),
)
FIELDS = (*CATEGORICAL, *NUMERIC, *SEQUENCE)
ABSENT = {f.name: NEVER if f.name.endswith("seconds_since") else 0.0 for f in NUMERIC}
"""The value of a numeric field that says "nothing there"; rates have none, so their 0 never occurs."""
NOVELTY = tuple(f"item_{behaviour}" for behaviour in BEHAVIOURS)
"""All absent on a row whose item nobody touched on the days before."""


@dataclass(frozen=True, slots=True)
class Features:
    """Feature matrices of a block of rows, columns as in CATEGORICAL, NUMERIC and the sequence field.

    `categorical` and `sequence` hold codes plus one, 0 where there is nothing; `numeric` is unscaled.
    """

    categorical: Ints
    numeric: NDArray[np.float32]
    sequence: Ints


class Histories:
    """The sampled users' events, sorted in three ways so that any past is two binary searches away."""

    def __init__(self, events: Events, category: Ints, users: int) -> None:
        items, categories, span = len(category), int(category.max(initial=0)) + 1, DAYS * DAY
        if max(1, users) * max(items, categories) * span >= 2**63:
            raise OverflowError(f"{users} users x {items} items exceed a 64-bit key")
        self._category, self._items, self._categories, self._span = category, items, categories, span
        self._recent: Ints = category[events.item] + 1  # in (user, time) order
        self._by_user: Ints = events.user * span + events.time
        self._user_counts = _running(events.behaviour)

        pair = events.user * categories + category[events.item]
        order = np.argsort(pair, kind="stable")
        self._by_category: Ints = pair[order] * span + events.time[order]
        self._category_counts = _running(events.behaviour[order])

        self._by_item: Ints = np.sort((events.user * items + events.item) * span + events.time)

    def user(self, user: Ints, time: Ints) -> tuple[Ints, NDArray[np.float64]]:
        """Counts per behaviour, and log seconds since the user's last event."""
        return self._past(self._by_user, self._user_counts, user, time)

    def user_category(self, user: Ints, item: Ints, time: Ints) -> tuple[Ints, NDArray[np.float64]]:
        """The same within the item's category."""
        pair = user * self._categories + self._category[item]
        return self._past(self._by_category, self._category_counts, pair, time)

    def user_item(self, user: Ints, item: Ints, time: Ints) -> Ints:
        """Number of events of this user with this item."""
        key = (user * self._items + item) * self._span
        return np.searchsorted(self._by_item, key + time) - np.searchsorted(self._by_item, key)

    def recent(self, user: Ints, time: Ints) -> Ints:
        """Category codes plus one of the user's last events, (rows, LENGTH), the most recent last."""
        start, end = self._range(self._by_user, user, time)
        at = end[:, None] + np.arange(-LENGTH, 0)
        padded = np.where(at >= start[:, None], at, len(self._recent))
        return np.append(self._recent, 0)[padded]

    def _range(self, keys: Ints, group: Ints, time: Ints) -> tuple[Ints, Ints]:
        first = group * self._span
        return np.searchsorted(keys, first), np.searchsorted(keys, first + time)

    def _past(self, keys: Ints, running: Ints, group: Ints, time: Ints) -> tuple[Ints, NDArray[np.float64]]:
        start, end = self._range(keys, group, time)
        last = np.append(keys, 0)[end - 1] % self._span
        since = np.where(end > start, np.log1p(np.maximum(time - last, 0)), NEVER)
        return running[end] - running[start], since


class Past:
    """Counts per behaviour of every item and category over the days that are over."""

    def __init__(self, category: Ints) -> None:
        self._category = category
        self.item = np.zeros((len(category), len(BEHAVIOURS)), np.int32)
        self.category = np.zeros((int(category.max(initial=0)) + 1, len(BEHAVIOURS)), np.int32)
        self.prior = np.zeros(len(BEHAVIOURS))

    def close(self, day: Events) -> None:
        """A day is over; the first one fixes the priors."""
        width = len(BEHAVIOURS)
        for table, code in ((self.item, day.item), (self.category, self._category[day.item])):
            counts = np.bincount(code * width + day.behaviour, minlength=table.size)
            table += counts.reshape(table.shape).astype(np.int32)
        if not self.prior.any():
            shares = np.bincount(day.behaviour, minlength=width) + 1.0
            self.prior = shares / shares.sum()


def features(rows: Exposures, histories: Histories, past: Past, category: Ints) -> Features:
    """The features of exposures of the day after the last closed one."""
    user, item, time = rows.user, rows.item, rows.time
    of = category[item]
    of_user, since = histories.user(user, time)
    of_pair, since_pair = histories.user_category(user, item, time)
    of_item, of_category = past.item[item], past.category[of]
    recent = histories.recent(user, time)
    numeric = (
        *(np.log1p(counts) for counts in (of_user, of_item, of_category, of_pair)),
        *(_rates(counts, past.prior) for counts in (of_user, of_item, of_category)),
        since[:, None],
        since_pair[:, None],
        np.log1p(histories.user_item(user, item, time))[:, None],
    )
    hour, weekday = time // 3600 % 24, (time // DAY + SATURDAY) % 7
    categorical = np.stack([user, item, of, hour, weekday, recent[:, -1] - 1], axis=1) + 1
    return Features(categorical, np.concatenate(numeric, axis=1).astype(np.float32), recent)


def _rates(counts: NDArray[np.integer], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothed share of carts, favourites and buys among all events."""
    total = counts.sum(axis=1, keepdims=True)
    rates: NDArray[np.float64] = (counts + SMOOTHING * prior)[:, 1:] / (total + SMOOTHING)
    return rates


def _running(behaviour: Ints) -> Ints:
    """(events + 1, behaviours) how many of each there are before each position."""
    ones = behaviour[:, None] == np.arange(len(BEHAVIOURS))
    return np.concatenate([np.zeros((1, len(BEHAVIOURS)), np.int32), np.cumsum(ones, axis=0, dtype=np.int32)])
