"""Features of histories small enough to work out by hand."""

from math import log1p
from pathlib import Path

import numpy as np
import pytest

from mtlbench.data.userbehavior.exposures import Exposures
from mtlbench.data.userbehavior.features import (
    LENGTH,
    Features,
    Histories,
    Past,
    features,
    fields,
    never,
)
from mtlbench.data.userbehavior.log import Events, Log
from mtlbench.data.userbehavior.window import DAY, TAOBAO
from mtlbench.errors import DataError
from mtlbench.schema import FieldKind
from tests.data.logs import Row, at, random_rows, read

Seen = dict[str, float]
NEVER = never(TAOBAO)


def look(
    folder: Path, rows: list[Row], *wanted: tuple[int, int, int]
) -> list[tuple[Seen, dict[str, int], list[int]]]:
    """For each (user, item, time): numeric fields; categorical ones and the sequence as raw ids or 0."""
    log = read(folder, rows)
    days = [log.day(d) for d in range(TAOBAO.days)]
    columns = {name: np.concatenate([getattr(d, name) for d in days]) for name in Events.__slots__}
    everything = Events(**columns).where(np.argsort(columns["user"], kind="stable"))
    histories = Histories(everything, log.category, len(log.users), TAOBAO)
    found = []
    for user, item, time in wanted:
        past = Past(log.category, TAOBAO)
        for day in range(time // DAY):
            past.close(days[day])
        row = Exposures(
            user=np.searchsorted(log.users, [user]),
            item=np.searchsorted(log.items, [item]),
            time=np.array([time]),
            labels=np.zeros((1, 4), np.uint8),
        )
        f = features(row, histories, past, log.category, TAOBAO)
        found.append((_named(f), _raw(log, f), _categories(log, f.sequence[0])))
    return found


def _of_kind(kind: FieldKind) -> list[str]:
    return [f.name for f in fields(TAOBAO) if f.kind == kind]


def _named(f: Features) -> Seen:
    values = np.concatenate([f.numeric[0], f.group_numeric[0]])
    return dict(zip(_of_kind("numeric"), values.tolist(), strict=True))


def _raw(log: Log, f: Features) -> dict[str, int]:
    codes = np.concatenate([f.categorical[0], f.group_categorical[0]])
    named = dict(zip(_of_kind("categorical"), codes.tolist(), strict=True))
    return {
        "user": int(log.users[named["user"] - 1]),
        "item": int(log.items[named["item"] - 1]),
        "category": int(log.categories[named["category"] - 1]),
        "hour": named["hour"] - 1,
        "weekday": named["weekday"] - 1,
        "last_category": _categories(log, np.array([named["last_category"]]))[0],
    }


def _categories(log: Log, codes: np.ndarray) -> list[int]:
    return [int(np.concatenate([[0], log.categories])[c]) for c in codes]


HISTORY: list[Row] = [
    (1, 10, 5, "pv", at(0, 20)),
    (1, 10, 5, "cart", at(0, 20, 1)),
    (1, 20, 6, "pv", at(1, 9)),
    (1, 20, 6, "buy", at(1, 9, 30)),
    (1, 10, 5, "pv", at(2, 10)),
    (1, 11, 5, "pv", at(2, 10)),
    (1, 10, 5, "fav", at(2, 10, 0, 30)),
    (2, 10, 5, "pv", at(0, 1)),
    (2, 10, 5, "buy", at(1, 2)),
    (2, 10, 5, "buy", at(2, 3)),
    (2, 11, 5, "fav", at(1, 4)),
]


def test_a_history_worked_out_by_hand(tmp_path: Path) -> None:
    """User 1, item 10 on 27 November at 10:00: what lies before that second, and before that day."""
    [(seen, ids, sequence)] = look(tmp_path, HISTORY, (1, 10, at(2, 10)))
    counts = {
        "user": (2, 1, 0, 1),  # pv, cart, fav, buy; the same second's page views are not before it
        "user_category": (1, 1, 0, 0),
        "item": (2, 1, 0, 1),  # both users, days 0 and 1; user 2's buy of day 2 is of the same day
        "category": (2, 1, 1, 1),
    }
    for of, numbers in counts.items():
        for behaviour, n in zip(("pv", "cart", "fav", "buy"), numbers, strict=True):
            assert seen[f"{of}_{behaviour}"] == pytest.approx(log1p(n)), (of, behaviour)
    assert seen["user_seconds_since"] == pytest.approx(log1p(24.5 * 3600))
    assert seen["user_category_seconds_since"] == pytest.approx(log1p(38 * 3600 - 60))
    assert seen["user_item_events"] == pytest.approx(log1p(2))
    # Day one has 2 page views and 1 cart; with one added each, the prior of a cart is 2/7, of a buy 1/7.
    assert seen["user_cart_rate"] == pytest.approx((1 + 20 * 2 / 7) / (4 + 20))
    assert seen["item_buy_rate"] == pytest.approx((1 + 20 * 1 / 7) / (4 + 20))
    assert seen["category_fav_rate"] == pytest.approx((1 + 20 * 1 / 7) / (5 + 20))
    assert ids == {"user": 1, "item": 10, "category": 5, "hour": 10, "weekday": 0, "last_category": 6}
    assert sequence == [0] * 16 + [5, 5, 6, 6]


def test_a_second_later_the_same_second_is_past(tmp_path: Path) -> None:
    [(seen, ids, sequence)] = look(tmp_path, HISTORY, (1, 10, at(2, 10, 0, 1)))
    assert seen["user_pv"] == pytest.approx(log1p(4))
    assert seen["user_category_pv"] == pytest.approx(log1p(3))
    assert seen["user_seconds_since"] == pytest.approx(log1p(1))
    assert seen["user_item_events"] == pytest.approx(log1p(3))
    assert seen["item_pv"] == pytest.approx(log1p(2))  # still only the days before
    assert ids["last_category"] == 5
    assert sequence == [0] * 14 + [5, 5, 6, 6, 5, 5]


def test_a_user_without_a_past_has_nothing(tmp_path: Path) -> None:
    rows: list[Row] = [*HISTORY, (3, 30, 7, "pv", at(1, 23, 59, 59))]
    [(seen, ids, sequence)] = look(tmp_path, rows, (3, 30, at(1, 23, 59, 59)))
    absent = [
        f"{of}_{b}"
        for of in ("user", "item", "category", "user_category")
        for b in ("pv", "cart", "fav", "buy")
    ]
    assert {name: seen[name] for name in absent} == dict.fromkeys(absent, 0.0)
    assert seen["user_seconds_since"] == seen["user_category_seconds_since"] == pytest.approx(NEVER)
    assert seen["user_buy_rate"] == seen["item_buy_rate"] == pytest.approx(1 / 7)  # the prior
    assert ids["last_category"] == 0
    assert ids["hour"] == 23
    assert ids["weekday"] == 6  # 26 November 2017 was a Sunday
    assert sequence == [0] * LENGTH


def test_only_the_last_events_stand_in_the_sequence_and_repeats_are_kept(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 10 + n, 100 + n // 2, "pv", at(1, 0, n)) for n in range(30)]
    rows.append((2, 500, 9, "pv", at(1)))  # another user's events never get in
    [(_, ids, sequence)] = look(tmp_path, rows, (1, 10, at(1, 0, 29)))
    assert sequence == [100 + n // 2 for n in range(9, 29)]
    assert ids["last_category"] == 114


def test_ties_in_a_second_follow_item_then_behaviour(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 12, 3, "pv", at(1)), (1, 11, 4, "buy", at(1)), (1, 11, 4, "pv", at(1))]
    [(_, ids, sequence)] = look(tmp_path, rows, (1, 12, at(1, 1)))
    assert sequence[-3:] == [4, 4, 3]
    assert ids["last_category"] == 3


def test_features_equal_a_plain_recount(tmp_path: Path) -> None:
    """Every count of random rows, against a loop over the raw log."""
    rows = sorted(set(random_rows(7, events=700)))
    rng = np.random.default_rng(0)
    wanted = [(rows[n][0], rows[m][1], rows[n][4]) for n, m in rng.integers(0, len(rows), (25, 2))]
    wanted = [w for w in wanted if w[2] >= DAY]
    for (user, item, t0), (seen, _, sequence) in zip(wanted, look(tmp_path, rows, *wanted), strict=True):
        mine = [r for r in rows if r[0] == user and r[4] < t0]
        older = [r for r in rows if r[4] < t0 // DAY * DAY]
        category = 1000 + item % 6
        groups = {
            "user": mine,
            "user_category": [r for r in mine if r[2] == category],
            "item": [r for r in older if r[1] == item],
            "category": [r for r in older if r[2] == category],
        }
        for of, group in groups.items():
            for behaviour in ("pv", "cart", "fav", "buy"):
                expected = log1p(sum(r[3] == behaviour for r in group))
                assert seen[f"{of}_{behaviour}"] == pytest.approx(expected), (of, behaviour)
        for of in ("user", "user_category"):
            last = max((r[4] for r in groups[of]), default=None)
            expected = NEVER if last is None else log1p(t0 - last)
            assert seen[f"{of}_seconds_since"] == pytest.approx(expected)
        assert seen["user_item_events"] == pytest.approx(log1p(sum(r[1] == item for r in mine)))
        order = {"pv": 0, "cart": 1, "fav": 2, "buy": 3}
        recent = [r[2] for r in sorted(mine, key=lambda r: (r[4], r[1], order[r[3]]))][-LENGTH:]
        assert sequence == [0] * (LENGTH - len(recent)) + recent


def test_day_one_alone_sets_the_priors(tmp_path: Path) -> None:
    one = look(tmp_path / "a", HISTORY, (1, 10, at(2, 10)))
    more: list[Row] = [*HISTORY, *((9, 90, 9, "buy", at(1, 1, n)) for n in range(50))]
    other = look(tmp_path / "b", more, (1, 10, at(2, 10)))
    assert one == other


def test_keys_that_would_overflow_are_refused() -> None:
    nothing = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="64-bit"):
        Histories(Events(nothing, nothing, nothing, nothing), np.zeros(2**22, np.int64), 2**22, TAOBAO)
