"""Splitting by a hash of an id and by dates."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.data.splits import cut_dates, hashed, share_of_smallest, stable_code


@pytest.mark.parametrize("as_text", [False, True])
def test_the_share_is_about_what_was_asked_for_and_the_same_every_time(as_text: bool) -> None:
    ids = pl.DataFrame({"id": range(20_000)})
    ids = ids.cast({"id": pl.String}) if as_text else ids
    chosen = ids.select(hashed("id", 0.1)).to_series()
    assert abs(chosen.mean() - 0.1) < 0.01  # type: ignore[operator]
    assert chosen.equals(ids.lazy().select(hashed("id", 0.1)).collect(engine="streaming").to_series())
    assert not chosen.equals(ids.select(hashed("id", 0.1, salt=1)).to_series())


def test_the_hash_never_changes() -> None:
    """Frozen at their first values: another version of anything must choose the same ids."""
    assert stable_code("user-1") == 0x88E1EA21865AAC9A
    numbers = pl.DataFrame({"id": range(12)})
    assert numbers.filter(hashed("id", 0.5))["id"].to_list() == [1, 4, 5, 6, 7, 11]


@given(st.lists(st.integers(0, 50), min_size=1), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_value_goes_one_way_whatever_stands_beside_it(ids: list[int], share: float) -> None:
    frame = pl.DataFrame({"id": [*ids, None]}, schema={"id": pl.Int64})
    chosen = frame.select(hashed("id", share)).to_series().to_list()
    alone = [pl.DataFrame({"id": [i]}).select(hashed("id", share)).item() for i in ids]
    assert chosen == [*alone, False]
    assert share > 0 or not any(chosen)
    assert share < 1 or all(chosen[:-1])


@given(st.sets(st.integers(0, 10**9), min_size=1), st.integers(1, 60), st.integers(0, 5))
def test_so_many_ids_as_asked_for_are_taken(ids: set[int], count: int, salt: int) -> None:
    """And more ids that come later do not push any of them out."""
    known = pl.Series("id", sorted(ids))
    share = share_of_smallest(known, count, salt)
    taken = known.to_frame().filter(hashed("id", share, salt))["id"]
    assert len(taken) == min(count, len(ids))
    more = pl.DataFrame({"id": [*ids, *range(10**9 + 1, 10**9 + 50)]})
    assert set(taken) <= set(more.filter(hashed("id", share, salt))["id"])
    assert share_of_smallest(known, "all", salt) == 1


def test_dates_hold_the_shares_and_equal_times_stay_together() -> None:
    times = [1] * 50 + [2] * 31 + [3] * 9 + [4] * 10
    first, second = cut_dates(pl.LazyFrame({"time": times}), "time")
    assert (first, second) == (3, 4)  # 81 %, 9 %, 10 %


@given(st.lists(st.integers(0, 9), min_size=1))
def test_dates_leave_no_more_than_the_share_before_them(times: list[int]) -> None:
    first, second = cut_dates(pl.LazyFrame({"time": times}), "time")
    assert first <= second
    for boundary, share in ((first, 0.8), (second, 0.9)):
        before = sorted(t for t in set(times) if t < boundary)
        rows = sum(t < before[-1] for t in times) if before else 0
        assert rows < share * len(times)  # one date less would hold too few
