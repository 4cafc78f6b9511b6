"""Which rows belong to which group, worked by hand."""

import numpy as np
import pytest

from mtlbench.compare.exploratory import Stratum
from mtlbench.errors import DataError, UsageError
from mtlbench.home import Home
from mtlbench.schema import Task
from mtlbench.strata.partitions import MOST_VALUES, partition
from tests.strata.data import rows

NAN = float("nan")


def groups(found: list[Stratum]) -> dict[tuple[str, str], list[int]]:
    """(what, group) -> positions of its test rows."""
    return {(s.of, s.name): np.flatnonzero(s.rows).tolist() for s in found}


def test_cold_start_counts_train_events_of_users_and_of_items(home: Home) -> None:
    """User 1 has 1 event, user 2 has 5, user 3 has 20, user 4 only negatives, user 5 no row at all."""
    user = [1] * 3 + [2] * 5 + [3] * 20 + [4] * 9
    view = [1, 0, 0] + [0] * 5 + [1] * 20 + [0] * 9
    buy = [0, 0, NAN] + [1] * 5 + [0] * 20 + [None] * 9
    item = [7] * 28 + [8] * 9
    data = rows(
        home,
        {"user": user, "view": view, "buy": buy, "item": item},
        {"user": [5, 3, 1, 4, 2, 3], "item": [7, 8, 9, 7, 7, 7]},
    )
    assert groups(partition(data, "cold-start")) == {
        ("train events of the user", "0"): [0, 3],
        ("train events of the user", "1-4"): [2],
        ("train events of the user", "5-19"): [4],
        ("train events of the user", "20 and more"): [1, 5],
        ("train events of the item", "0"): [1, 2],
        ("train events of the item", "20 and more"): [0, 3, 4, 5],
    }


@pytest.mark.parametrize(
    ("by", "words"),
    [("cold-start:view", "--by cold-start$"), ("cold-start:", "--by cold-start$"), ("", "''")],
)
def test_a_name_of_no_group_is_refused(home: Home, by: str, words: str) -> None:
    data = rows(home, {"user": [1, 2], "item": [3, 4]}, {"user": [1, 2], "item": [3, 4]})
    with pytest.raises(UsageError, match=words):
        partition(data, by)


def test_without_a_binary_task_a_labelled_row_is_an_event(home: Home) -> None:
    data = rows(
        home,
        {"user": [1, 1, 2], "stars": [3.0, None, None], "item": [4, 4, 4]},
        {"user": [1, 2, 2], "item": [4, 4, 4]},
        tasks=(Task(name="stars", kind="regression"),),
    )
    found = groups(partition(data, "cold-start"))
    assert found["train events of the user", "1-4"] == [0]
    assert found["train events of the user", "0"] == [1, 2]


def test_who_has_no_ids_has_no_cold_start(home: Home) -> None:
    data = rows(home, {"user": [1, 2]}, {"user": [1, 2], "age": [3, 4]}, fields=())
    with pytest.raises(UsageError, match=r"no column with ids.*age"):
        partition(data, "cold-start")


def test_feedback_ratio_parts_users_in_thirds(home: Home) -> None:
    """Ratios on train: user 1 0, user 2 1/2, user 3 1, user 4 has neither; users count, not rows."""
    train: dict[str, list[int | None]] = {
        "user": [1, 2, 2, 3, 4],
        "view": [0, 1, 0, 1, 0],
        "buy": [1, 0, 1, 0, None],
    }
    data = rows(home, train, {"user": [1, 2, 3, 4, 5, 1, 1, 1]})
    assert groups(partition(data, "feedback-ratio")) == {
        ("view / (view + buy) of the user", "low (0 to 0)"): [0, 5, 6, 7],
        ("view / (view + buy) of the user", "middle (0.5 to 0.5)"): [1],
        ("view / (view + buy) of the user", "high (1 to 1)"): [2],
        ("view / (view + buy) of the user", "none"): [3, 4],
    }
    other = groups(partition(data, "feedback-ratio:buy,view"))
    assert other["buy / (buy + view) of the user", "low (0 to 0)"] == [2]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("feedback-ratio:buy,veiw", "Did you mean 'view'"),
        ("feedback-ratio:buy,stars", "Known: buy, view"),
        ("feedback-ratio:buy,buy", "wants two binary tasks"),
        ("feedback-ratio:buy", "wants two binary tasks"),
        ("itme", "Did you mean 'item'"),
        ("view", "Unknown group of rows"),  # an outcome
        ("past", "past holds lists"),
    ],
)
def test_what_cannot_part_rows_is_refused(home: Home, by: str, words: str) -> None:
    data = rows(home, {"user": [1, 2]}, {"user": [1, 2, 2], "past": [[1], [2], []]})
    with pytest.raises(UsageError, match=words):
        partition(data, by)


def test_a_column_of_ids_or_few_values_is_parted_by_value(home: Home) -> None:
    """The most frequent values stand alone, numbers or not."""
    common = [i for i in range(MOST_VALUES) for _ in range(2)]
    item = [*common, 100, 101, None]
    group = [1.0] * 40 + [0.0, None, 0.0]
    data = rows(home, {"user": [1]}, {"item": item, "group": group, "user": [1, 2] * 21 + [3]})
    found = groups(partition(data, "item"))
    assert found["item", "3"] == [6, 7]
    assert (found["item", "others"], found["item", "missing"]) == ([40, 41], [42])
    assert len(found) == MOST_VALUES + 2
    assert groups(partition(data, "group")) == {
        ("group", "0.0"): [40, 42],
        ("group", "1.0"): list(range(40)),
        ("group", "missing"): [41],
    }


def test_many_numbers_are_parted_in_quarters_by_rank(home: Home) -> None:
    price = [float(10**i) for i in range(24)] + [None]
    data = rows(home, {"user": [1]}, {"price": price, "user": [1] * 25})
    found = groups(partition(data, "price"))
    assert list(found.values()) == [[6 * i + j for j in range(6)] for i in range(4)] + [[24]]
    assert next(iter(found)) == ("price", "1 to 100000")


def test_rows_without_their_parquet_file_are_said_to_be_missing(home: Home) -> None:
    data = rows(home, {"user": [1]}, {"user": [1]})
    (home.prepared("toy") / "test.parquet").unlink()
    with pytest.raises(DataError, match="mtlbench prepare toy --force"):
        partition(data, "item")
