"""Damaged bytes in a raw log: a clear error or a correct result, and every line accounted for."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mtlbench.data.userbehavior import raw
from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import TAOBAO
from mtlbench.errors import DataError
from tests.data.logs import SAYS, lines, random_rows

GOOD = "".join(f"{line}\n" for line in lines(random_rows(8, events=40))).encode()
WELL_FORMED = re.compile(rb"(\d{1,12}),(\d{1,12}),(\d{1,12}),(pv|cart|fav|buy),(\d{1,12})\r?")
DAMAGE = st.lists(
    st.tuples(
        st.integers(0, len(GOOD)),
        st.integers(0, 12),
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from(
                [b"\n", b"\r\n", b'"', b",", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"pv", b"-1", b"\x1f\x8b"]
            ),
        ),
    ),
    max_size=6,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=DAMAGE)
@example(damage=[(0, 0, b"\x1f\x8b")])  # as gzip begins
@example(damage=[(0, 0, b"x\x9c")])  # as zlib does
def test_damage_loses_no_line_in_silence(
    monkeypatch: pytest.MonkeyPatch, damage: list[tuple[int, int, bytes]]
) -> None:
    monkeypatch.setattr(raw, "MOST_MALFORMED", 1.0)
    data = GOOD
    for at, removed, put in damage:
        data = data[:at] + put + data[at + removed :]
    refusal = ""
    with tempfile.TemporaryDirectory() as folder:
        path, work = Path(folder, "log.csv"), Path(folder, "work")
        path.write_bytes(data)
        work.mkdir()
        try:
            log = read_log(path, TAOBAO, work, SAYS)
            events = [log.day(day) for day in range(TAOBAO.days)]
        except DataError as error:
            refusal = str(error)
    if refusal:
        assert SAYS.command in refusal
        return
    quirks = log.quirks
    dropped = ("malformed_rows", "rows_outside_window", "duplicate_rows")
    assert quirks["rows"] == data.removesuffix(b"\n").count(b"\n") + 1
    assert quirks["rows"] == sum(map(len, events)) + sum(quirks[name] for name in dropped)

    found = {
        (int(log.users[u]), int(log.items[i]), int(b), int(t))
        for day in events
        for u, i, b, t in zip(day.user, day.item, day.behaviour, day.time, strict=True)
    }
    for line in data.split(b"\n"):
        if match := WELL_FORMED.fullmatch(line):
            user, item, category, behaviour, time = match.groups()
            second = int(time) - TAOBAO.start
            known = max(map(int, (user, item, category))) < raw.LARGEST_ID and 0 <= second < TAOBAO.seconds
            event = (int(user), int(item), TAOBAO.behaviours.index(behaviour.decode()), second)
            assert (event in found) == known
