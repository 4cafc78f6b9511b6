"""The three releases, told apart by content, as one table."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mtlbench.data.amazon.kinds import kind_of
from mtlbench.data.amazon.reviews import read_reviews
from mtlbench.data.recipe import Reporting
from tests.data.amazon.files import START, review_2014, review_2018, review_2023, write_lines

SAYS = Reporting("mtlbench prepare amazon --source FILE")


def read(folder: Path, records: Sequence[dict[str, Any] | str], name: str = "file") -> pl.DataFrame:
    path = write_lines(folder / name, records)
    found = read_reviews(path, kind_of(path, SAYS), folder / f"parts-{name}", SAYS)
    frame = found.frame.collect()
    assert found.rows == len(frame) + found.malformed
    return frame


def test_the_releases_agree_on_what_a_review_is(tmp_path: Path) -> None:
    same = {"user": "A1USER0000001", "item": "B000000001", "rating": 4.0}
    facts = ["user", "item", "rating", "time", "votes", "verified"]
    old = read(tmp_path, [review_2014()], "2014").select(facts)
    assert old.row(0, named=True) == same | {"time": START * 1000, "votes": 3, "verified": None}
    middle = read(tmp_path, [review_2018(overall=4, vote="1,234", verified=False)], "2018").select(facts)
    assert middle.row(0, named=True) == same | {"time": START * 1000, "votes": 1234, "verified": False}
    new = read(tmp_path, [review_2023("A1USER0000001", rating=4.0)], "2023").select(facts)
    assert new.row(0, named=True) == same | {"time": START * 1000 + 123, "votes": 2, "verified": True}


def test_no_vote_is_none_in_2018_and_an_odd_one_is_unknown(tmp_path: Path) -> None:
    votes = [None, "7", "12,345,678", 3, "many", "", "-"]
    frame = read(tmp_path, [review_2018(vote=vote) for vote in votes])
    assert frame["votes"].to_list() == [0, 7, 12_345_678, 3, None, None, None]


def test_a_helpful_pair_that_is_none_is_unknown(tmp_path: Path) -> None:
    pairs: list[Any] = [[0, 5], [2, 2], [], None, "3 of 4", [None, 2]]
    frame = read(tmp_path, [review_2014(helpful=pair) for pair in pairs])
    assert frame["votes"].to_list() == [0, 2, None, None, None, None]


def test_what_is_missing_or_impossible_is_null(tmp_path: Path) -> None:
    odd: dict[str, list[Any]] = {
        "reviewerID": ["", "  ", None],
        "asin": ["", None],
        "overall": ["five", "NaN", None],
        "unixReviewTime": [0, -5, "yesterday", 10**19, None],
    }
    columns = {"reviewerID": "user", "asin": "item", "overall": "rating", "unixReviewTime": "time"}
    for key, values in odd.items():
        frame = read(tmp_path, [review_2018(**{key: value}) for value in values] + [review_2018()], key)
        assert frame[columns[key]].is_null().to_list() == [True] * len(values) + [False]


def test_ids_are_texts_in_every_file(tmp_path: Path) -> None:
    """They are numbers in one file and strings in another."""
    frame = read(tmp_path, [review_2018(user="17", item=42), review_2018(user=17, item=" 42 ")])
    assert frame.select("user", "item").n_unique() == 1


def test_a_title_that_the_shop_filled_in_says_nothing(tmp_path: Path) -> None:
    """ "Five Stars" is the rating itself; its length alone would give it away."""
    filled = ["One Star", "two stars", "Three Stars", "Four Stars", "Five Stars", " 5 stars ", "", None]
    own = ["Five Stars!", "My five stars", "One"]
    frame = read(tmp_path, [review_2018(summary=title) for title in filled + own])
    assert (frame["title_chars"] > 0).to_list() == [False] * len(filled) + [True] * len(own)
    assert (frame["title_capitals"] > 0).to_list() == [False] * len(filled) + [True] * len(own)


def test_the_form_of_a_text(tmp_path: Path) -> None:
    text = "OK then!! Is it Ärger? \n yes"
    frame = read(
        tmp_path,
        [
            review_2018(reviewText=text, image=["http://x"]),
            review_2018(reviewText=None, style=None, image=[]),
        ],
    )
    form = frame.select(pl.col("^text_.*$"), "has_image", "style_attributes")
    logs = [pl.Series([n]).log1p().item() for n in (len(text), 6, 2, 1)]
    assert form.row(0) == pytest.approx((*logs, 4 / 18, 1, 2))
    assert form.row(1) == (0, 0, 0, 0, 0, 0, 0)


def test_the_columns_of_a_table_stand_in_the_order_of_its_release(tmp_path: Path) -> None:
    rows = {
        "2014": "A1USER0000001,B000000001,3.0,1300000000",
        "2018": "B000000001,A1USER0000001,3.0,1300000000",
        "2023": 'timestamp,"rating",user_id,parent_asin\n1300000000000,3,A1USER0000001,"B000000001"',
    }
    frames = [read(tmp_path, [row], name) for name, row in rows.items()]
    for frame in frames:
        assert frame.select("user", "item", "rating", "time").row(0) == (
            "A1USER0000001",
            "B000000001",
            3.0,
            1_300_000_000_000,
        )
        assert frame["votes"].is_null().all()
        assert frame["text_chars"].is_null().all()


def test_a_table_may_have_a_mark_carriage_returns_quotes_and_gaps(tmp_path: Path) -> None:
    """A quoted line break is no part of an id: both lines are malformed, and counted."""
    rows = ["A1USER0000001,B000000001,5.0,1300000000\r"] * 4000
    rows[0] = "\ufeff" + rows[0]
    rows[10] = '"A1USER0000001","B000000001",NaN,"1300000000"\r'
    rows[11] = '"A1USER0000001'
    rows[12] = '2",B000000001,5.0,1300000000'
    frame = read(tmp_path, rows, "ratings_X.csv.gz")
    assert 3998 <= len(frame) <= 3999
    assert frame["rating"].null_count() == 1
    assert frame["user"][0] == "A1USER0000001"
    assert frame["time"].unique().to_list() == [1_300_000_000_000]


def test_rows_of_a_packed_table_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"user_id,parent_asin,rating,timestamp\n" + b"u,i,5,1300000000000\n" * 9))
    found = read_reviews(path, kind_of(path, SAYS), tmp_path / "parts", SAYS)
    assert found.rows == 9
    assert json.loads(found.frame.select("line").collect().write_json())[0] == {"line": 2}
