from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mtlbench.data.userbehavior import exposures as module
from mtlbench.data.userbehavior.exposures import Exposures, Pool, TooFewItems, draw, exposures, positives
from mtlbench.data.userbehavior.window import TAOBAO
from tests.data.logs import Row, at, random_rows, read

Groups = dict[tuple[int, int], list[int]]


def drawn_on(
    folder: Path, rows: list[Row], day: int, negatives: int = 4, seed: int = 0
) -> tuple[Groups, int]:
    """(user, positive item) -> its negatives in slot order, raw ids; how many categories were too small."""
    log = read(folder, rows)
    events = log.day(day)
    touched = positives(events, len(log.items), TAOBAO)
    drawn, short = draw(log, day, Pool(events, log.category), touched, negatives, seed)
    keys = zip(log.users[touched.user].tolist(), log.items[touched.item].tolist(), strict=True)
    return dict(zip(keys, log.items[drawn].tolist(), strict=True)), len(short)


def test_a_positive_is_a_pair_of_a_day_at_its_first_event(tmp_path: Path) -> None:
    rows = [
        (1, 10, 5, "cart", at(1, 9)),
        (1, 10, 5, "pv", at(1, 8)),
        (1, 11, 5, "buy", at(1, 7)),  # bought without a page view: viewed all the same
        (2, 10, 5, "fav", at(1, 6)),
        (2, 10, 5, "buy", at(1, 6)),  # the first second counts with all its events
        (1, 10, 5, "fav", at(2, 8)),  # another day
    ]
    log = read(tmp_path, rows)
    found = positives(log.day(1), len(log.items), TAOBAO)
    assert [
        (log.users[u], log.items[i], t, *row)
        for u, i, t, row in zip(found.user, found.item, found.time, found.labels.tolist(), strict=True)
    ] == [
        (1, 10, at(1, 8), 1, 1, 0, 0),
        (1, 11, at(1, 7), 1, 0, 0, 1),
        (2, 10, at(1, 6), 1, 0, 1, 1),
    ]


@pytest.mark.parametrize("negatives", [1, 3, 4, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_negatives_keep_the_rules(tmp_path: Path, negatives: int, seed: int) -> None:
    """Never touched by the user that day, touched by another that day, no repeats, half in the category."""
    rows = random_rows(seed)
    category = {i: c for _, i, c, _, _ in rows}
    groups, short = drawn_on(tmp_path, rows, 2, negatives, seed)
    today = {(u, i) for u, i, _, _, t in rows if at(2) <= t < at(3)}
    assert set(groups) == today
    too_small = 0
    for (user, item), drawn in groups.items():
        assert len(set(drawn)) == negatives
        eligible = {i for u, i in today if u != user} - {i for u, i in today if u == user}
        assert set(drawn) <= eligible
        near = {i for i in eligible if category[i] == category[item]}
        if len(near) < negatives // 2:
            too_small += 1
        else:
            assert set(drawn[: negatives // 2]) <= near
    assert short == too_small


def test_a_small_category_is_counted_and_its_negatives_come_from_all(tmp_path: Path) -> None:
    """Category 1 offers users 1 and 2 a single item each, two are wanted within it."""
    rows: list[Row] = [(1, 10, 1, "pv", at(1)), (2, 11, 1, "pv", at(1))]
    rows += [(3 + i % 2, 20 + i, 2, "pv", at(1)) for i in range(20)]
    groups, short = drawn_on(tmp_path, rows, 1)
    assert short == 2
    assert len(set(groups[1, 10])) == 4


def test_a_draw_depends_on_its_key_and_the_day_alone(tmp_path: Path) -> None:
    """Other days and the seed's other groups: events that change no pair of the day change no draw."""
    rows = random_rows(3)
    before, _ = drawn_on(tmp_path / "all", rows, 2)
    alone, _ = drawn_on(tmp_path / "alone", [r for r in rows if at(2) <= r[4] < at(3)], 2)
    assert before == alone
    again: list[Row] = [(u, i, c, "pv", t) for u, i, c, _, t in rows if at(2) <= t < at(3)]
    assert drawn_on(tmp_path / "pv", again, 2)[0] == before
    assert drawn_on(tmp_path / "seed", rows, 2, seed=1)[0] != before


def test_more_users_of_an_item_elsewhere_leave_most_draws_alone(tmp_path: Path) -> None:
    """A pair more in the pool may shift a few draws; the others stay, for none follows a common stream."""
    rows = random_rows(4, users=60, events=6000)
    before, _ = drawn_on(tmp_path / "a", rows, 2)
    after, _ = drawn_on(tmp_path / "b", [*rows, (999_983, 159, 1003, "pv", at(2, 5))], 2)
    same = [before[key] == after[key] for key in before]
    assert np.mean(same) > 0.5


@pytest.mark.parametrize("rounds", [0, 64])
def test_an_items_chance_is_its_number_of_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """One negative, items of 1, 2 and 5 users: drawn in that proportion, by rejection or by listing."""
    monkeypatch.setattr(module, "ROUNDS", rounds)
    rows: list[Row] = []
    user = 0
    for item, count in ((1, 1), (2, 2), (3, 5)):
        for _ in range(count):
            user += 1
            rows.append((user, item, 1, "pv", at(1)))
    rows += [(1, 1, 1, "pv", at(1, 1, n)) for n in range(9)]  # the same user again: no chance more
    rows += [(100, 50 + i, 1, "pv", at(1)) for i in range(4000)]
    groups, _ = drawn_on(tmp_path, rows, 1, negatives=1)
    counts = Counter(groups[100, 50 + i][0] for i in range(4000))
    expected = {1: 500.0, 2: 1000.0, 3: 2500.0}
    chi_square = sum((counts[i] - e) ** 2 / e for i, e in expected.items())
    assert set(counts) == set(expected)
    assert chi_square < 16  # 2 degrees of freedom: p = .0003


def test_one_user_alone_leaves_nothing_to_draw_from(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 10 + i, 5, "pv", at(1)) for i in range(9)]
    with pytest.raises(
        TooFewItems, match=r"on 2017-11-26 the log \(1 user\) has 0 items that user 1 did not touch"
    ):
        drawn_on(tmp_path, rows, 1)


def test_groups_lie_together_and_a_rows_place_tells_nothing(tmp_path: Path) -> None:
    log = read(tmp_path, random_rows(5))
    touched = positives(log.day(3), len(log.items), TAOBAO)
    drawn, _ = draw(log, 3, Pool(log.day(3), log.category), touched, 4, 0)
    rows: Exposures = exposures(touched, drawn)
    assert rows.size == 5
    assert rows.groups == len(rows.time) == len(touched.user)
    assert len(rows) == 5 * rows.groups
    assert (rows.labels[:, 0].reshape(-1, 5).sum(axis=1) == 1).all()
    assert rows.labels.sum(axis=0).tolist() == touched.labels.sum(axis=0).tolist()
    assert (np.diff(rows.item.reshape(-1, 5), axis=1) > 0).all()
    assert rows.labels[rows.labels[:, 0] == 0].sum() == 0
    positive = rows.item[rows.labels[:, 0] == 1]
    order = (rows.user.astype(np.int64) * 10**6 + rows.time) * 10**4 + positive
    assert (np.diff(order) > 0).all()
    labels = rows.labels[rows.labels[:, 0] == 1]
    by_item = np.lexsort((positive, rows.user))
    assert positive[by_item].tolist() == touched.item.tolist()
    assert labels[by_item].tolist() == touched.labels.tolist()


def test_a_part_has_the_rows_of_its_groups(tmp_path: Path) -> None:
    log = read(tmp_path, random_rows(5))
    touched = positives(log.day(3), len(log.items), TAOBAO)
    drawn, _ = draw(log, 3, Pool(log.day(3), log.category), touched, 2, 0)
    rows = exposures(touched, drawn)
    part = rows.part(slice(4, 9))
    assert (part.groups, len(part)) == (5, 15)
    assert part.user.tolist() == rows.user[4:9].tolist()
    assert part.item.tolist() == rows.item[12:27].tolist()
    assert part.labels.tolist() == rows.labels[12:27].tolist()
