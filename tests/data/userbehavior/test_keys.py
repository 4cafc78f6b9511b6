import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.data.userbehavior import keys
from mtlbench.data.userbehavior.keys import Codes, Key
from mtlbench.data.userbehavior.window import DAY
from mtlbench.errors import DataError

KEY = Key(users=5000, items=70_000, behaviours=4)
EVENTS = st.lists(
    st.tuples(st.integers(0, 4999), st.integers(0, DAY - 1), st.integers(0, 69_999), st.integers(0, 3)),
    min_size=1,
)


@given(EVENTS)
def test_keys_hold_their_events_and_sort_as_they_do(events: list[tuple[int, int, int, int]]) -> None:
    packed = KEY.pack(*(np.array(column) for column in zip(*events, strict=True)))
    packed.sort()
    unpacked = [column.tolist() for column in KEY.unpack(packed)]
    assert list(zip(*unpacked, strict=True)) == sorted(events)


def test_keys_that_need_more_than_63_bits_are_refused() -> None:
    Key(users=2**20, items=2**21, behaviours=4)
    with pytest.raises(DataError, match="64-bit"):
        Key(users=2**22, items=2**22, behaviours=4)


@pytest.mark.parametrize("table", [0, 2**26])
def test_a_code_is_a_rank(monkeypatch: pytest.MonkeyPatch, table: int) -> None:
    """By a table, and by bisection where ids are large."""
    monkeypatch.setattr(keys, "LARGEST_TABLE", table)
    ids = np.unique(np.random.default_rng(0).integers(0, 10_000, 500))
    asked = np.random.default_rng(1).permutation(ids)
    assert Codes(ids)(asked).tolist() == [ids.tolist().index(i) for i in asked]


def test_large_ids_need_no_table() -> None:
    assert Codes(np.array([3, 2**40 - 1]))(np.array([2**40 - 1, 3])).tolist() == [1, 0]
