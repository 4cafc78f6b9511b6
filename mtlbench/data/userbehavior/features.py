"""Features of an exposure, as they were known just before it.

Of the user: from events strictly before the exposure's second. Of item and category: from the days
strictly before its day, over the whole log. Priors of the smoothed rates: from the first day only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtlbench.data.userbehavior.exposures import Exposures
from mtlbench.data.userbehavior.keys import check_size
from mtlbench.data.userbehavior.log import Events
from mtlbench.data.userbehavior.window import DAY, Window
from mtlbench.schema import Field

Ints = NDArray[np.int64]

LENGTH = 20
"""Largest number of past events in the sequence field."""
SMOOTHING = 20.0
"""Weight of the prior in a conversion rate, in events."""


def fields(window: Window, grouped: bool = False) -> tuple[Field, ...]:
    """Return all fields in column order: the rows' own, then those that a group shares; categorical first.

    Args:
        window: window of the log.
        grouped: whether shared fields are stored once per group.
    """
    own = (*_categorical("item", "category"), *_numeric(window, "item", "category", "user_category"))
    own += (Field(name="user_item_events", kind="numeric", of="user_item"),)
    shared = (*_categorical("user", "hour", "weekday", "last_category"), *_numeric(window, "user"))
    sequence = Field(
        name="recent_categories", kind="sequence", vocabulary="category", length=LENGTH, of="user"
    )
    return (*own, *(replace(f, grouped=grouped) for f in shared), sequence)


def _categorical(*names: str) -> Iterator[Field]:
    of = {"hour": "time", "weekday": "time", "last_category": "user"}
    for name in names:
        vocabulary = name.removeprefix("last_")
        yield Field(name=name, kind="categorical", vocabulary=vocabulary, of=of.get(name, name))


def _numeric(window: Window, *subjects: str) -> Iterator[Field]:
    """Yield counts per behaviour, rates of all but page views, and the time since the user's last event."""
    rates = [of for of in subjects if of != "user_category"]
    names = [(of, f"{of}_{behaviour}") for of in subjects for behaviour in window.behaviours]
    names += [(of, f"{of}_{behaviour}_rate") for of in rates for behaviour in window.behaviours[1:]]
    names += [(of, f"{of}_seconds_since") for of in subjects if of.startswith("user")]
    for of, name in names:
        yield Field(name=name, kind="numeric", of=of)


def never(window: Window) -> float:
    """Return the log seconds since an event that never happened: as if it were a whole window ago."""
    return float(np.log1p(window.seconds))


def absent(window: Window) -> dict[str, float]:
    """Return the value of each numeric field that means "nothing there"; rates get 0, which never occurs."""
    numeric = [f.name for f in fields(window) if f.kind == "numeric"]
    return {name: never(window) if name.endswith("seconds_since") else 0.0 for name in numeric}


def novelty(window: Window) -> tuple[str, ...]:
    """Return the fields that are all absent on a row whose item nobody touched on the days before."""
    return tuple(f"item_{behaviour}" for behaviour in window.behaviours)


@dataclass(frozen=True, slots=True)
class Features:
    """Feature matrices of a block of exposures, columns as in `fields`; numeric ones unscaled.

    Categorical ones and the sequence hold codes plus one, 0 where there is nothing.

    Attributes:
        categorical, numeric: (rows, ...) fields that differ within a group.
        group_categorical, group_numeric, sequence: (groups, ...) fields that a group shares.
    """

    categorical: Ints
    numeric: NDArray[np.float32]
    group_categorical: Ints
    group_numeric: NDArray[np.float32]
    sequence: Ints


class Histories:
    """The sampled users' events, sorted in three ways so that two binary searches find any past."""

    def __init__(self, events: Events, category: Ints, users: int, window: Window) -> None:
        items, categories, span = len(category), int(category.max(initial=0)) + 1, window.seconds
        check_size(users, items, window)
        self._category, self._items, self._categories, self._span = category, items, categories, span
        self._never, behaviours = never(window), len(window.behaviours)
        self._recent: Ints = np.append(category[events.item] + 1, 0)  # in (user, time) order; nothing at -1
        self._by_user: Ints = events.user * span + events.time
        self._user_counts = _running(events.behaviour, behaviours)

        pair = events.user * categories + category[events.item]
        order = np.argsort(pair, kind="stable")
        self._by_category: Ints = pair[order] * span + events.time[order]
        self._category_counts = _running(events.behaviour[order], behaviours)

        self._by_item: Ints = np.sort((events.user * items + events.item) * span + events.time)

    def user(self, user: Ints, time: Ints) -> tuple[Ints, NDArray[np.float64]]:
        """Return counts per behaviour, and log seconds since the user's last event."""
        return self._past(self._by_user, self._user_counts, user, time)

    def user_category(self, user: Ints, item: Ints, time: Ints) -> tuple[Ints, NDArray[np.float64]]:
        """Return the same as `user`, within the item's category."""
        pair = user * self._categories + self._category[item]
        return self._past(self._by_category, self._category_counts, pair, time)

    def user_item(self, user: Ints, item: Ints, time: Ints) -> Ints:
        """Return the number of events of this user with this item."""
        key = (user * self._items + item) * self._span
        return np.searchsorted(self._by_item, key + time) - np.searchsorted(self._by_item, key)

    def recent(self, user: Ints, time: Ints) -> Ints:
        """Return category codes plus one of the user's last events, (rows, LENGTH), the most recent last."""
        start, end = self._range(self._by_user, user, time)
        at = end[:, None] + np.arange(-LENGTH, 0)
        return self._recent[np.where(at >= start[:, None], at, -1)]

    def _range(self, keys: Ints, group: Ints, time: Ints) -> tuple[Ints, Ints]:
        first = group * self._span
        return np.searchsorted(keys, first), np.searchsorted(keys, first + time)

    def _past(self, keys: Ints, running: Ints, group: Ints, time: Ints) -> tuple[Ints, NDArray[np.float64]]:
        start, end = self._range(keys, group, time)
        last = keys[np.maximum(end - 1, 0)] % self._span
        since = np.where(end > start, np.log1p(np.maximum(time - last, 0)), self._never)
        return running[end] - running[start], since


class Past:
    """Counts per behaviour of every item and category over the closed days."""

    def __init__(self, category: Ints, window: Window) -> None:
        self._category, width = category, len(window.behaviours)
        self.item = np.zeros((len(category), width), np.int32)
        self.category = np.zeros((int(category.max(initial=0)) + 1, width), np.int32)
        self.prior = np.zeros(width)

    def close(self, day: Events) -> None:
        """Add the events of a finished day; the first one fixes the priors."""
        width = len(self.prior)
        for table, code in ((self.item, day.item), (self.category, self._category[day.item])):
            counts = np.bincount(code * width + day.behaviour, minlength=table.size)
            table += counts.reshape(table.shape).astype(np.int32)
        if not self.prior.any():
            shares = np.bincount(day.behaviour, minlength=width) + 1.0
            self.prior = shares / shares.sum()


def features(rows: Exposures, histories: Histories, past: Past, category: Ints, window: Window) -> Features:
    """Compute the features of exposures of the day after the last closed one."""
    user, time = rows.user.astype(np.int64), rows.time.astype(np.int64)
    of_user, since = histories.user(user, time)
    sequence = histories.recent(user, time)
    hour, weekday = time // 3600 % 24, (time // DAY + window.first.weekday()) % 7
    group_categorical = np.stack([user + 1, hour + 1, weekday + 1, sequence[:, -1]], axis=1)
    group_numeric = (np.log1p(of_user), _rates(of_user, past.prior), since[:, None])

    item, user, time = rows.item.astype(np.int64), np.repeat(user, rows.size), np.repeat(time, rows.size)
    of = category[item]
    of_item, of_category = past.item[item], past.category[of]
    of_pair, since_pair = histories.user_category(user, item, time)
    numeric = (
        *(np.log1p(counts) for counts in (of_item, of_category, of_pair)),
        *(_rates(counts, past.prior) for counts in (of_item, of_category)),
        since_pair[:, None],
        np.log1p(histories.user_item(user, item, time))[:, None],
    )
    return Features(
        categorical=np.stack([item, of], axis=1) + 1,
        numeric=np.concatenate(numeric, axis=1).astype(np.float32),
        group_categorical=group_categorical,
        group_numeric=np.concatenate(group_numeric, axis=1).astype(np.float32),
        sequence=sequence,
    )


def _rates(counts: NDArray[np.integer], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the smoothed share among all events of each behaviour except page views."""
    total = counts.sum(axis=1, keepdims=True)
    rates: NDArray[np.float64] = (counts + SMOOTHING * prior)[:, 1:] / (total + SMOOTHING)
    return rates


def _running(behaviour: Ints, behaviours: int) -> Ints:
    """Count the events of each behaviour before each position, (events + 1, behaviours)."""
    ones = behaviour[:, None] == np.arange(behaviours)
    return np.concatenate([np.zeros((1, behaviours), np.int32), np.cumsum(ones, axis=0, dtype=np.int32)])
