"""Cleaning: what is dropped is counted, and what stays is a user's first review of an item."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.amazon.clean import Clean, clean
from mtlbench.data.amazon.kinds import kind_of
from mtlbench.data.amazon.reviews import read_reviews
from mtlbench.data.lines import Lines
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError
from tests.data.amazon.files import DAY, START, review_2018, write_lines

SAYS = Reporting("mtlbench prepare amazon --source FILE")
DROPPED = (
    "malformed_rows",
    "reviews_without_user_item_time_or_rating",
    "impossible_ratings",
    "duplicate_reviews",
    "later_reviews_of_a_pair",
)


def cleaned(folder: Path, *files: list[dict[str, Any]]) -> tuple[Clean, pl.DataFrame]:
    work = folder / f"work-{len(list(folder.iterdir()))}"
    work.mkdir()
    reviews: list[tuple[str, Lines]] = []
    for i, records in enumerate(files):
        path = write_lines(work / f"{i}.json", records)
        reviews.append((f"C{i}", read_reviews(path, kind_of(path, SAYS), work / f"parts-{i}", SAYS)))
    found = clean(reviews, work, SAYS.command)
    rows = pl.read_parquet(found.file).with_columns(
        user=found.users.gather(pl.read_parquet(found.file)["user"]),
        item=found.items.gather(pl.read_parquet(found.file)["item"]),
    )
    return found, rows


def test_each_reason_to_drop_a_row_is_counted(tmp_path: Path) -> None:
    review = review_2018
    found, rows = cleaned(
        tmp_path,
        [
            review("A", "X", overall=3.0),
            review("A", "X", overall=5.0),  # again: same time
            review("A", "X", unixReviewTime=START + DAY),  # later
            review("A", "X", unixReviewTime=START + DAY),  # later, again
            review("A", "Y", overall=None),
            review("", "Y"),
            review("B", "X", overall=0.0),
            review("B", "X", overall=5.5),
            review("B", "X", vote="many"),
        ],
    )
    assert found.quirks == {
        "rows": 9,
        "malformed_rows": 0,
        "reviews_without_user_item_time_or_rating": 2,
        "impossible_ratings": 2,
        "unreadable_votes": 1,
        "duplicate_reviews": 2,
        "later_reviews_of_a_pair": 1,
        "reviews": 2,
        "copies_under_other_items": 0,
    }
    assert rows.select("user", "item", "rating").rows() == [("A", "X", 3.0), ("B", "X", 5.0)]


def test_a_review_under_several_items_is_kept_and_counted(tmp_path: Path) -> None:
    """The same user, day, rating and text; another text, or none, is no copy."""
    found, rows = cleaned(
        tmp_path,
        [
            *(review_2018("A", item) for item in "XYZ"),
            review_2018("A", "W", reviewText="Good, but other."),
            *(review_2018("B", item, reviewText="") for item in "XY"),
        ],
    )
    assert found.quirks["copies_under_other_items"] == 2
    assert len(rows) == 6


def test_categories_are_cleaned_together(tmp_path: Path) -> None:
    """An item in the files of two categories is one item; its reviews count in the first."""
    both = review_2018("A", "X")
    found, rows = cleaned(tmp_path, [both], [both, review_2018("B", "X")])
    assert found.categories == ("C0", "C1")
    assert found.quirks["duplicate_reviews"] == 1
    assert rows.select("user", "category").rows() == [("A", 0), ("B", 1)]


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No review is left of 1 rows.*mtlbench prepare"):
        cleaned(tmp_path, [review_2018(overall=9.0)])


review = st.builds(
    lambda user, item, day, rating: review_2018(user, item, unixReviewTime=START + day * DAY, overall=rating),
    st.sampled_from(["A", "B", ""]),
    st.sampled_from(["X", "Y"]),
    st.integers(0, 2),
    st.sampled_from([0.0, 1.0, 5.0, None]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(review, min_size=1, max_size=12))
def test_every_row_stays_or_is_counted(records: list[dict[str, Any]], tmp_path: Path) -> None:
    """And what stays is, for each pair, the first line of its earliest day."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for r in records:
        pair = r["reviewerID"], r["asin"]
        sound = r["reviewerID"] and r.get("overall") in (1.0, 5.0)
        if sound and (pair not in first or r["unixReviewTime"] < first[pair]["unixReviewTime"]):
            first[pair] = r
    if not first:
        with pytest.raises(DataError, match="No review is left"):
            cleaned(tmp_path, records)
        return
    found, rows = cleaned(tmp_path, records)
    assert found.quirks["rows"] == len(records) == len(rows) + sum(found.quirks[name] for name in DROPPED)
    assert {(r["user"], r["item"]): (r["time"], r["rating"]) for r in rows.iter_rows(named=True)} == {
        pair: (r["unixReviewTime"] * 1000, r["overall"]) for pair, r in first.items()
    }
    order = rows.select("time", "user", "item").rows()
    assert order == sorted(order)
