"""What was known before, against a slow reference that looks at every pair of events."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlbench.data.amazon.history import History

Event = tuple[int, int, float]
events = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from([0.0, 1.0, 2.5])), min_size=1, max_size=25
)


@settings(deadline=None)
@given(log=events, length=st.integers(1, 4))
def test_it_agrees_with_looking_at_every_earlier_event(log: list[Event], length: int) -> None:
    """In any order of the log; events of one time know nothing of each other."""
    keys, times, values = (np.array(column) for column in zip(*log, strict=True))
    history = History(keys, times)
    count, total, last, first = history.count(), history.total(values), history.last(), history.first()
    recent = history.recent(slice(0, len(log)), length)
    for i, (key, time, _) in enumerate(log):
        before = [j for j, (k, t, _) in enumerate(log) if k == key and t < time]
        before.sort(key=lambda j: (log[j][1], j))
        assert count[i] == len(before)
        assert total[i] == sum(log[j][2] for j in before)
        if before:
            assert last[i] == log[before[-1]][1]
            assert first[i] == log[before[0]][1]
        assert recent[i].tolist() == ([-1] * length + before)[-length:]


def test_blocks_of_recent_events_are_parts_of_the_whole() -> None:
    keys, times = np.zeros(7, np.int64), np.arange(7)
    history = History(keys, times)
    whole = history.recent(slice(0, 7), 3)
    parts = [history.recent(slice(start, start + 2), 3) for start in range(0, 7, 2)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert whole[3].tolist() == [0, 1, 2]
