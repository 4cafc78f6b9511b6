"""What checks work with: processes, their order, and the bounds on counts."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from scipy.stats import binom

from mtlbench.home import Home
from mtlbench.protocol import CHECKS
from mtlbench.protocol.check import THREADS, Lab, Workers, fewest_calls, most_calls, share


def double(item: int) -> int:
    return 2 * item


def threads(_: int) -> list[str | None]:
    return [os.environ.get(name) for name in THREADS]


def fail_at(bad: int, item: int) -> int:
    if item == bad:
        raise ValueError(f"no good: {item}")
    return item


def die(_: int) -> None:
    os._exit(9)


@pytest.fixture(scope="module")
def two() -> Iterator[Workers]:
    with Workers(2) as workers:
        yield workers


def test_values_come_in_the_order_of_the_items_and_each_is_counted(two: Workers) -> None:
    counted: list[int] = []
    lab = Lab(Home(Path()), workers=two, on_item=lambda: counted.append(1))
    assert list(lab.map(double, range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert len(counted) == 7


def test_a_worker_computes_with_one_thread(two: Workers) -> None:
    assert list(two.map(threads, [0, 1])) == [["1"] * len(THREADS)] * 2


def test_after_a_failure_the_next_items_find_new_workers(two: Workers) -> None:
    with pytest.raises(ValueError, match="no good: 3"):
        list(two.map(partial(fail_at, 3), range(5)))
    assert list(two.map(double, [1, 2])) == [2, 4]


def test_a_worker_that_dies_is_an_error_and_no_endless_wait(two: Workers) -> None:
    with pytest.raises(RuntimeError):
        list(two.map(die, [0, 1]))
    assert list(two.map(double, [1, 2])) == [2, 4]


def test_alone_nothing_is_spawned() -> None:
    lab = Lab(Home(Path()))
    assert list(lab.map(lambda i: i + 1, [1, 2])) == [2, 3]  # a lambda could not have been sent anywhere


def test_the_environment_is_as_before_once_the_workers_have_ended() -> None:
    before = [os.environ.get(name) for name in THREADS]
    with Workers(2) as workers:
        list(workers.map(double, [1, 2]))
    assert [os.environ.get(name) for name in THREADS] == before


def test_the_bound_is_the_protocols_for_200_and_follows_the_same_tail_for_other_numbers() -> None:
    assert most_calls(200) == 18
    for replicates in (6, 40, 60, 2000):
        most = most_calls(replicates)
        assert binom.sf(most, replicates, 0.05) <= 0.01 < binom.sf(most - 1, replicates, 0.05)
        assert fewest_calls(replicates, 0.95) == replicates - most


def test_a_share_is_said_with_its_count() -> None:
    assert share(58, 60) == "97 % (58 of 60)"
    assert share(101, 2000) == "5.0 % (101 of 2,000)"


def test_every_acceptance_test_of_the_protocol_is_registered() -> None:
    assert list(CHECKS) == [f"A{i}" for i in range(1, 17)]
    targets = [part.target for check in CHECKS.values() for part in check.parts]
    assert len(set(targets)) == len(targets)
    assert all(target.startswith("mtlbench.protocol.") for target in targets)
