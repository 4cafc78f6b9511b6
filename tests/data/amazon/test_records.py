"""Reading JSON lines: every line is a record, or counted."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.amazon.records import as_object, first_lines, read_records
from mtlbench.data.lines import Lines
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

SAYS = Reporting("mtlbench prepare amazon --source FILE")
KEYS = ("user", "n")
ONE_FOLDER = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(content: bytes, folder: Path, literals: bool = False) -> Lines:
    number = len(list(folder.iterdir()))
    path = folder / f"file-{number}"
    path.write_bytes(content)
    return read_records(path, KEYS, lambda c: c, folder / f"parts-{number}", SAYS, literals=literals)


def rows(records: Lines) -> list[tuple[Any, ...]]:
    return records.frame.select("line", "user", "n").collect().rows()


GOOD = b'{"user": "a", "n": 1}\n'


def test_a_value_is_a_text_whatever_it_is_in_the_file(tmp_path: Path) -> None:
    """Ids are numbers in one file and strings in another."""
    content = b'{"user": 12, "n": "7"}\n{"n": 2.5, "user": "12"}\n{"user": null, "n": true}\n{}\n'
    assert rows(read(content, tmp_path)) == [
        (1, "12", "7"),
        (2, "12", "2.5"),
        (3, None, "true"),
        (4, None, None),
    ]


def test_a_mark_carriage_returns_blank_lines_and_a_missing_end_change_nothing(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"user": "a", "n": 1}\r\n\r\n   \n{"user": "b", "n": 2}'
    records = read(content, tmp_path)
    assert rows(records) == [(1, "a", "1"), (4, "b", "2")]
    assert (records.rows, records.malformed) == (2, 0)


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage",
        b"[1, 2]",
        b"null",
        b'{"user": "a"',
        b'{"user": "a"} {"user": "b"}',
        b'{"user": NaN}',
        b'{"user": "caf\xe9"}',
        b"{'user': 'a'}",
        b'{"user": "a\x01"',
        b"{" * 2000,
    ],
)
def test_a_malformed_line_is_counted_and_its_neighbours_stay(bad: bytes, tmp_path: Path) -> None:
    """One in 2,001 is below 0.1 %."""
    records = read(GOOD * 1200 + bad + b"\n" + GOOD * 800, tmp_path)
    assert (records.rows, records.malformed, records.first_malformed) == (2001, 1, (1201,))
    lines = records.frame.collect()["line"].to_list()
    assert lines == [n for n in range(1, 2002) if n != 1201]


def test_more_than_a_thousandth_malformed_is_an_error_that_shows_the_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 1,002 .*lines: 4, 1002; line 4: 'rubbish'.*mtlbench prepare"):
        read(GOOD * 3 + b"rubbish\n" + GOOD * 997 + b"more\n", tmp_path)


def test_nothing_is_an_error(tmp_path: Path) -> None:
    for content in (b"", b"\n \r\n"):
        with pytest.raises(DataError, match="is empty"):
            read(content, tmp_path)


def test_gzip_is_told_by_content_and_its_damage_is_an_error(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD * 5000)
    assert read(packed, tmp_path).rows == 5000
    for damaged in (packed[:-20], packed[:200] + b"\0\1\2" + packed[203:]):
        with pytest.raises(DataError, match="cut short or damaged"):
            read(damaged, tmp_path)


def test_literals_are_read_and_never_run(tmp_path: Path) -> None:
    """The metadata of 2014 are Python's, with odd escapes; a call in them is malformed."""
    marker = tmp_path / "run"
    call = f"{{'user': open({str(marker)!r}, 'w')}}\n".encode()
    plain = rb"{'user': 'it\'s \d', 'n': None, 'other': {'x': (1, 2)}}" + b"\n"
    content = plain * 1500 + call + b'{"user": "json", "n": null}\n'
    records = read(content, tmp_path, literals=True)
    assert (records.rows, records.malformed, records.first_malformed) == (1502, 1, (1501,))
    assert rows(records)[0] == (1, "it's \\d", None)
    assert rows(records)[-1] == (1502, "json", None)
    assert not marker.exists()


@pytest.mark.parametrize("line", [b"{'a': {1, 2}}", b"{'a': b'x'}", b"{'a': 1e999}", b"{(1,): 2}", b"{'a'"])
def test_a_literal_that_json_has_no_word_for_is_malformed_or_cut_down(line: bytes, tmp_path: Path) -> None:
    """What stands under other keys is not looked at."""
    records = read(
        b"{'user': 'u'}\n" * 1100 + line.replace(b"'a'", b"'user'") + b"\n", tmp_path, literals=True
    )
    assert records.rows == 1101
    assert records.malformed + len(rows(records)) == 1101


def test_what_a_line_holds_is_told(tmp_path: Path) -> None:
    assert as_object(b'{"a": 1}') == {"a": 1}
    assert as_object(b"{'a': None}") == {"a": None}
    assert as_object(b"[1]") is None
    assert as_object(b"a,b") is None
    assert as_object(b"[" * 100_000) is None
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo\nthree")
    assert first_lines(path, SAYS, 2) == [b"one", b"two"]


record = st.dictionaries(
    st.sampled_from(["user", "n", "other"]),
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3)),
)


@ONE_FOLDER
@given(records=st.lists(record, min_size=1, max_size=30), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_every_record_comes_out_as_it_was_written(
    records: list[dict[str, Any]], end: str, tmp_path: Path
) -> None:
    content = "".join(json.dumps(r) + end for r in records).encode()
    found = read(content, tmp_path)
    assert (found.rows, found.malformed) == (len(records), 0)
    for (_, user, n), wanted in zip(rows(found), records, strict=True):
        for value, given_value in ((user, wanted.get("user")), (n, wanted.get("n"))):
            if isinstance(given_value, str):
                assert value == given_value
            elif isinstance(given_value, bool):
                assert value == str(given_value).lower()
            elif isinstance(given_value, int):
                assert value == str(given_value)
            elif given_value is None:
                assert value is None


@ONE_FOLDER
@given(content=st.binary(max_size=300), literals=st.booleans())
def test_any_bytes_are_rows_or_counted_or_an_error(content: bytes, literals: bool, tmp_path: Path) -> None:
    try:
        records = read(content + b"\n" + GOOD * 3000, tmp_path, literals)
    except DataError:
        return
    assert records.rows == len(rows(records)) + records.malformed
    assert records.rows >= 3000
