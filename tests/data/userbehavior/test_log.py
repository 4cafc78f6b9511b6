from pathlib import Path

import pytest

from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import TAOBAO
from mtlbench.errors import DataError
from tests.data.logs import SAYS, at, random_rows, read, write_log


def test_the_window_is_nine_whole_days_of_china_time(tmp_path: Path) -> None:
    """Its first and its last second count; one second before and one after do not."""
    inside = [(1, 10, 5, "pv", 0), (2, 11, 5, "pv", TAOBAO.seconds - 1)]
    outside = [(1, 10, 5, "pv", -1), (2, 11, 5, "pv", TAOBAO.seconds), (3, 12, 5, "pv", -(10**9))]
    log = read(tmp_path, inside + outside)
    assert TAOBAO.start == 1511539200
    assert log.quirks["rows"] == 5
    assert log.quirks["rows_outside_window"] == 3
    assert log.users.tolist() == [1, 2]
    assert [len(log.day(d)) for d in range(TAOBAO.days)] == [1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_exact_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    row = (1, 10, 5, "pv", at(1, 3))
    others = [(1, 10, 5, "cart", at(1, 3)), (1, 10, 5, "pv", at(1, 4)), (2, 10, 5, "pv", at(1, 3))]
    log = read(tmp_path, [row, row, *others, row])
    assert log.quirks["duplicate_rows"] == 2
    assert len(log.day(1)) == 4


def test_an_item_keeps_its_earliest_category(tmp_path: Path) -> None:
    """By time, not by place in the file; on the same second the lowest id; only within the window."""
    rows = [
        (1, 10, 7, "pv", at(2)),
        (2, 10, 3, "pv", at(5)),
        (3, 11, 9, "pv", at(4)),
        (4, 11, 8, "pv", at(4)),
        (5, 11, 7, "pv", at(8)),
        (6, 12, 7, "pv", at(3)),
        (7, 12, 1, "pv", -5),
    ]
    log = read(tmp_path, rows)
    assert dict(zip(log.items, log.categories[log.category], strict=True)) == {10: 7, 11: 8, 12: 7}
    assert log.quirks["items_in_several_categories"] == 2


def test_events_of_a_second_are_ordered_by_item_then_behaviour(tmp_path: Path) -> None:
    rows = [(2, 4, 5, "pv", at(1)), (1, 9, 5, "pv", at(1)), (1, 4, 5, "buy", at(1)), (1, 4, 5, "cart", at(1))]
    rows += [(1, 9, 5, "buy", at(1, 0, 0, 1)), (1, 4, 5, "pv", at(1))]
    log = read(tmp_path, rows)
    day = log.day(1)
    seen = list(zip(log.users[day.user], log.items[day.item], day.behaviour, strict=True))
    assert seen == [(1, 4, 0), (1, 4, 1), (1, 4, 3), (1, 9, 0), (1, 9, 3), (2, 4, 0)]


@pytest.mark.parametrize(
    "line",
    [
        "1,2,3,pv",
        "1,2,3,pv,1511600000,7",
        "",
        "x,2,3,pv,1511600000",
        "1,2,3,click,1511600000",
        "1,2,3,PV,1511600000",
        "1,2,,pv,1511600000",
        "-1,2,3,pv,1511600000",
        "1,2,3,pv,yesterday",
        "1,2,3,pv,99999999999999999999",
        '1,"2,3,pv,1511600000',
    ],
)
def test_a_malformed_line_is_dropped_and_its_number_kept(tmp_path: Path, line: str) -> None:
    good = [(u, 10, 5, "pv", at(1)) for u in range(1, 1200)]
    write_log(tmp_path / "log.csv", good)
    text = (tmp_path / "log.csv").read_text().splitlines()
    text.insert(6, line)
    (tmp_path / "log.csv").write_text("\n".join(text) + "\n")
    log = read_log(tmp_path / "log.csv", TAOBAO, tmp_path, SAYS)
    assert log.quirks["malformed_rows"] == 1
    assert log.malformed_lines == (7,)
    assert len(log.day(1)) == 1199


def test_more_than_a_thousandth_malformed_is_an_error(tmp_path: Path) -> None:
    """1 of 1,000 passes, 2 of 1,000 do not; the message has the line numbers and shows the first line."""
    good = [(u, 10, 5, "pv", at(1)) for u in range(1, 1000)]
    assert read(tmp_path, good, ["1,2,3,pv"]).quirks["malformed_rows"] == 1
    with pytest.raises(
        DataError, match=r"2 of 1,000 rows are malformed.*999, 1000; line 999 has 4 columns: '1,2,3,pv'"
    ):
        read(tmp_path, good[:-1], ["1,2,3,pv", "a,b,c,d,e"])


def test_only_the_first_ten_malformed_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"First malformed lines: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;"):
        read(tmp_path, [], ["1,2,3,pv"] * 50)


def test_an_empty_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"log\.csv is empty.*mtlbench prepare taobao --source FILE"):
        read(tmp_path, [])


def test_a_log_of_other_days_is_an_error_that_says_which(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"its times are {TAOBAO.start - 500} .. {TAOBAO.start - 100}"):
        read(tmp_path, [(1, 2, 3, "pv", -100), (1, 2, 3, "pv", -500)])


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    write_log(path, random_rows(events=50))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_log(path, TAOBAO, tmp_path, SAYS).quirks["malformed_rows"] == 0


def test_the_order_of_the_lines_does_not_matter(tmp_path: Path) -> None:
    rows = random_rows(events=300)
    one, other = read(tmp_path / "one", rows), read(tmp_path / "other", rows[::-1])
    assert one.quirks == other.quirks
    for day in range(TAOBAO.days):
        for column in ("user", "item", "behaviour", "time"):
            assert (getattr(one.day(day), column) == getattr(other.day(day), column)).all()


def test_a_doubled_event_under_another_category_is_a_double(tmp_path: Path) -> None:
    """The same user, item, behaviour and second happened once, whatever category it stands under."""
    log = read(tmp_path, [(1, 10, 5, "pv", at(1)), (1, 10, 6, "pv", at(1)), (2, 10, 5, "pv", at(1))])
    assert log.quirks["duplicate_rows"] == 1
    assert log.quirks["items_in_several_categories"] == 1


def test_rows_in_are_rows_out_and_rows_counted(tmp_path: Path) -> None:
    rows = [*random_rows(3, events=2000), (1, 2, 3, "pv", -7)]
    log = read(tmp_path, [*rows, *rows[:9]], ["1,2,3"])
    dropped = ("malformed_rows", "rows_outside_window", "duplicate_rows")
    kept = sum(len(log.day(day)) for day in range(TAOBAO.days))
    assert log.quirks["rows"] == kept + sum(log.quirks[name] for name in dropped) == 2011


def test_no_room_for_reading_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtlbench.data.userbehavior.log.SCRATCH", 10**12)
    with pytest.raises(OSError, match=r"reading log\.csv needs about"):
        read(tmp_path, random_rows(events=300))
