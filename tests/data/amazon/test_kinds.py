"""Files told apart by content, categories by name."""

from pathlib import Path
from typing import Any

import pytest

from mtlbench.data.amazon.kinds import Kind, category_of, kind_of
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError
from tests.data.amazon.files import review_2014, review_2018, review_2023, write_lines

SAYS = Reporting("mtlbench prepare amazon --source FILE")


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (review_2014(), Kind("2014", "reviews")),
        (review_2018(), Kind("2018", "reviews")),
        (review_2023(), Kind("2023", "reviews")),
        ("{'asin': 'B1', 'imUrl': 'x'}", Kind("2014", "metadata")),
        ({"asin": "B1", "category": ["x"]}, Kind("2018", "metadata")),
        ({"parent_asin": "B1", "store": "x"}, Kind("2023", "metadata")),
        ("user_id,parent_asin,rating,timestamp", Kind("2023", "ratings")),
        ("rating,extra,timestamp,user_id,parent_asin", Kind("2023", "ratings")),
        (
            "A1USER0000001,B000000001,5.0,1300000000",
            Kind("2014", "ratings", ("user", "item", "rating", "time")),
        ),
        (
            "B000000001,A1USER0000001,5.0,1300000000",
            Kind("2018", "ratings", ("item", "user", "rating", "time")),
        ),
    ],
)
def test_a_file_is_known_by_its_content(record: dict[str, Any] | str, kind: Kind, tmp_path: Path) -> None:
    """Whatever its name, packed or not, and although its first line is damaged."""
    for name in ("reviews_2018.csv", "x.json.gz"):
        assert kind_of(write_lines(tmp_path / name, [record]), SAYS) == kind
    if not isinstance(record, str):
        assert kind_of(write_lines(tmp_path / "y", ['{"reviewerID', record]), SAYS) == kind


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "web page"),
        (b'[{"reviewerID": "A"}]', "one JSON list"),
        (b'{"name": "x"}', "neither reviews nor metadata; its records have name"),
        (b"1,2,3,4\n", "begins '1,2,3,4'"),
        (b"\x00\xff\xfe", "no reviews, ratings or metadata"),
    ],
)
def test_what_is_unknown_is_an_error_that_says_so(content: bytes, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=wrong) as error:
        kind_of(path, SAYS)
    assert SAYS.command in str(error.value)


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("reviews_Digital_Music_5.json.gz", "Digital_Music"),
        ("reviews_Digital_Music_5.head.json.gz", "Digital_Music"),
        ("Gift_Cards_5.json", "Gift_Cards"),
        ("Gift_Cards.jsonl.gz", "Gift_Cards"),
        ("All_Beauty.5core.rating_only.csv.gz", "All_Beauty"),
        ("ratings_CDs_and_Vinyl.csv", "CDs_and_Vinyl"),
        ("meta_All_Beauty.2023.jsonl.gz", "All_Beauty"),
        ("_5.json", "_5"),
    ],
)
def test_the_category_is_in_the_name(name: str, category: str) -> None:
    assert category_of(Path("some", name)) == category
