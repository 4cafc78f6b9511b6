"""Lines to rows: each line is a row or is counted, whatever its bytes."""

import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.lines import Column, Lines, header, read_lines
from mtlbench.errors import DataError

COLUMNS = {
    "id": Column(pl.Int64),
    "name": Column(pl.String, optional=True),
    "size": Column(pl.Float64, optional=True),
}
LABELLED = {"id": Column(pl.Int64), "label": Column(pl.Int64, optional=True, among=(0, 1))}
HEAD = "id,name,size"
DAMAGED = ("7,a,1e31", '7,"a,b",1', "7,a,1\x1fz", "9999999999999999999999,a,1")
FILLING = "".join(f"{n},x,1.5\n" for n in range(2000))
fuzzing = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(folder: Path, text: str | bytes, **more: object) -> Lines:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_lines(path, COLUMNS, folder / "out.parquet", "mtlbench prepare x --source FILE", **more)  # type: ignore[arg-type]


def rows(lines: Lines) -> list[tuple[object, ...]]:
    return lines.frame.select("line", *COLUMNS).collect().rows()


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("7,a,2.5", (7, "a", 2.5)),
        ('"7","a","2.5"', (7, "a", 2.5)),
        (" 7 , a b ,\t2.5 ", (7, "a b", 2.5)),
        ("7.0,a,2.5", (7, "a", 2.5)),
        ("7,,", (7, None, None)),
        ("7,NULL,NaN", (7, None, None)),
        ("-7,ä,1e-3", (-7, "ä", 0.001)),
        ("7,a,2.5\r", (7, "a", 2.5)),
    ],
)
def test_a_sound_line_is_a_row(tmp_path: Path, line: str, row: tuple[object, ...]) -> None:
    found = read(tmp_path, f"{HEAD}\n{line}\n")
    assert rows(found) == [(2, *row)]
    assert found.malformed == 0


@pytest.mark.parametrize(
    "line",
    [
        "",
        "7",
        "7,a",
        "7,a,1,2",
        "7,a,1,",
        ",a,1",
        "NaN,a,1",
        "x,a,1",
        "7.5,a,1",
        "7,a,x",
        "7,a,inf",
        *DAMAGED,
    ],
)
def test_a_damaged_line_is_counted_and_its_neighbours_stay(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, f"{HEAD}\n{FILLING}{line}\n5,y,2\n")
    assert (found.rows, found.malformed, found.first_malformed) == (2002, 1, (2002,))
    assert rows(found)[-1] == (2003, 5, "y", 2.0)
    assert len(rows(found)) == 2001


def test_a_label_is_among_its_values_or_missing_or_malformed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,label\n" + "1,0\n" * 1000 + "2,1.0\n3,NaN\n4,2\n")
    found = read_lines(path, LABELLED, tmp_path / "out.parquet", "mtlbench prepare x")
    assert found.first_malformed == (1004,)
    assert found.frame.select("id", "label").tail(2).collect().rows() == [(2, 1), (3, None)]


def test_a_stray_quote_swallows_no_line(tmp_path: Path) -> None:
    found = read(tmp_path, f'{HEAD}\n{FILLING}1,"a,2\n2,b,3\n3,c",4\n')
    assert found.malformed == 0
    assert [r[1] for r in rows(found)[-3:]] == [1, 2, 3]


def test_more_than_a_thousandth_malformed_is_an_error_that_shows_the_first(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"2 of 1,002 rows are malformed.*lines: 1002, 1003; line 1002: 'oops'"
    ):
        read(tmp_path, f"{HEAD}\n" + "".join(FILLING.splitlines(True)[:1000]) + "oops\n1,2\n")


@pytest.mark.parametrize(
    "text", ["", "\n", f"{HEAD}", f"{HEAD}\n", "id,name\n1,2\n", f"{HEAD},id\n1,2,3,4\n"]
)
def test_no_header_or_no_row_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="mtlbench prepare x --source FILE"):
        read(tmp_path, text)


@pytest.mark.parametrize("head", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x9c"], ids=["gzip", "zstd", "zlib"])
def test_what_begins_as_a_packed_file_is_an_error(tmp_path: Path, head: bytes) -> None:
    with pytest.raises(DataError, match="begins as a packed file does"):
        read(tmp_path, head + f"{HEAD}\n7,a,1\n".encode())


def test_columns_are_found_by_name_through_byte_order_mark_quotes_and_windows_line_ends(
    tmp_path: Path,
) -> None:
    text = b'\xef\xbb\xbf"size", more ,id,name\r\n1.5,z,3,a\r\n'
    assert rows(read(tmp_path, text)) == [(2, 3, "a", 1.5)]
    assert header(tmp_path / "table.csv") == ["size", "more", "id", "name"]


def test_without_a_header_the_first_line_is_a_row(tmp_path: Path) -> None:
    found = read(tmp_path, "\ufeff1;a;2\n3;b;4", names=["id", "name", "size"], separator=";")
    assert rows(found) == [(1, 1, "a", 2.0), (2, 3, "b", 4.0)]


@fuzzing
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.none() | st.text(st.characters(codec="ascii", exclude_characters='",\r\n\t\x1f '), min_size=1),
            st.none() | st.floats(-1e30, 1e30),
        ).filter(lambda row: row[1] not in ("NaN", "nan", "NULL", "null", "None")),
        min_size=1,
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_is_written_is_read_back(
    tmp_path: Path, written: list[tuple[int, str | None, float | None]], end: str, quoted: bool
) -> None:
    def line(row: tuple[object, ...]) -> str:
        fields = ["" if value is None else str(value) for value in row]
        return ",".join(f'"{f}"' if quoted else f for f in fields)

    found = read(tmp_path, end.join([HEAD, *map(line, written)]))
    assert [row[1:] for row in rows(found)] == written


@fuzzing
@given(st.binary(max_size=200), st.integers(0, 40))
def test_no_bytes_make_rows_vanish(tmp_path: Path, damage: bytes, at: int) -> None:
    """Rows in = rows out + rows counted, for any bytes anywhere; or a DataError."""
    good = "".join(f"{n},name{n},{n / 4}\n" for n in range(8)).encode()
    text = HEAD.encode() + b"\n" + good[:at] + damage + good[at:]
    there = len(text.split(b"\n")) - 1 - text.endswith(b"\n")
    try:
        found = read(tmp_path, text)
    except DataError:
        return
    assert found.rows == there
    kept = rows(found)
    assert len(kept) + found.malformed == there
    assert all(isinstance(r[1], int) for r in kept)
    assert all(r[3] is None or math.isfinite(r[3]) for r in kept)  # type: ignore[arg-type]
