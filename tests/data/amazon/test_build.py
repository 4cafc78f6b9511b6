"""From files to described reviews: releases, splits, labels, and bytes that nobody wrote."""

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.amazon.build import OFFICIAL, Reviews, read
from mtlbench.data.amazon.describe import READ_AFTER
from mtlbench.data.amazon.features import LENGTH
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError
from tests.data.amazon.files import (
    DAY,
    START,
    review_2014,
    review_2018,
    review_2023,
    shop,
    write_lines,
)
from tests.data.amazon.test_clean import DROPPED

META = [{"asin": f"B{n:09}", "price": f"${n}.00", "brand": f"brand {n % 3}"} for n in range(20)]


def described(
    folder: Path,
    *files: Path,
    categories: Sequence[str] = (),
    split: Literal["dates", "official"] = "dates",
    lines: list[str] | None = None,
) -> Reviews:
    work = folder / f"work-{len(list(folder.iterdir()))}"
    work.mkdir()
    says = Reporting("mtlbench prepare amazon --source FILE", (lines if lines is not None else []).append)
    return read(files, categories, split, work, says)


def one(folder: Path, records: Sequence[dict[str, Any] | str], name: str = "Toys_5.json") -> Reviews:
    return described(folder, write_lines(folder / name, records))


def test_rows_in_are_rows_out_and_rows_counted(tmp_path: Path) -> None:
    records: list[dict[str, Any] | str] = [*shop(1200, users=60), *shop(3), review_2018(overall=None), "{"]
    reviews = one(tmp_path, records)
    rows = reviews.rows.collect()
    assert reviews.quirks["rows"] == 1205 == len(rows) + sum(reviews.quirks[name] for name in DROPPED)
    assert reviews.quirks["malformed_rows"] == 1
    assert reviews.malformed == {"Toys_5.json": [1205]}
    assert {f.name for f in reviews.fields} <= set(rows.columns)


def test_a_split_is_a_span_of_days(tmp_path: Path) -> None:
    """80, 10 and 10 % of the reviews, but no day is torn."""
    reviews = one(tmp_path, shop(600))
    parts: dict[str, pl.DataFrame] = {name: part.collect() for name, part in reviews.splits().items()}
    assert sum(map(len, parts.values())) == 600
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(len(parts[name]) / 600 - share) < 0.02
    days = [set(part["time"]) for part in parts.values()]
    assert max(days[0]) < min(days[1]) <= max(days[1]) < min(days[2])


def test_the_official_split_is_that_of_2023(tmp_path: Path) -> None:
    times = [OFFICIAL[0] - 1, OFFICIAL[0], OFFICIAL[1] - 1, OFFICIAL[1]]
    records = [review_2023(f"u{n}", timestamp=time) for n, time in enumerate(times)]
    reviews = described(tmp_path, write_lines(tmp_path / "x.jsonl", records), split="official")
    lengths = {name: len(part.collect()) for name, part in reviews.splits().items()}
    assert lengths == {"train": 1, "validation": 2, "test": 1}
    with pytest.raises(DataError, match=r"official split is of the release of 2023; these files are of 2018"):
        described(tmp_path, write_lines(tmp_path / "y.json", shop(5)), split="official")


def test_helpful_is_said_of_reviews_that_were_read_for_half_a_year(tmp_path: Path) -> None:
    """The newest review stands for the day of the dump."""
    half_a_year = READ_AFTER // 1000
    votes = {
        "A": (half_a_year, "1,000"),
        "B": (half_a_year, None),
        "C": (half_a_year - DAY, "9"),
        "D": (0, "9"),
    }
    votes["E"] = (half_a_year, "odd")
    records = [
        review_2018(user, vote=vote, unixReviewTime=START + half_a_year - age)
        for user, (age, vote) in votes.items()
    ]
    rows = one(tmp_path, records).rows.collect()
    assert dict(rows.select("user", "helpful").iter_rows()) == {
        "A": 1,
        "B": 0,
        "C": None,
        "D": None,
        "E": None,
    }


def test_a_review_and_its_labels_by_hand(tmp_path: Path) -> None:
    first = review_2018("A", "X", overall=5.0, verified=False)
    second = review_2018("A", "Y", overall=4.0, verified=True, unixReviewTime=START + 3 * DAY)
    row = one(tmp_path, [second, first]).rows.collect().row(1, named=True)
    assert (row["user"], row["item"], row["category"]) == ("A", "Y", "Toys")
    assert (row["rating"], row["liked"], row["verified"]) == (4.0, 0, 1)
    assert row["recent_items"] == ["X"]
    assert (row["user_verified"], row["user_fives"]) == pytest.approx(
        ((5 * 2.5 / 6) / 6, (1 + 5 * 2 / 6) / 6)
    )


def test_recent_items_are_the_last_ones_of_earlier_days(tmp_path: Path) -> None:
    records = [review_2018("A", f"I{n:02}", unixReviewTime=START + n * DAY) for n in range(LENGTH + 5)]
    records.append(review_2018("A", "same day", unixReviewTime=START + (LENGTH + 4) * DAY))
    rows = one(tmp_path, records).rows.collect()
    last = rows.filter(pl.col("item") == "same day")["recent_items"][0].to_list()
    assert last == [f"I{n:02}" for n in range(4, LENGTH + 4)]
    assert rows["recent_items"][0].to_list() == []


def test_the_files_may_come_in_any_order_packed_or_not(tmp_path: Path) -> None:
    records = shop(300)
    (tmp_path / "packed").mkdir()
    plain = [
        write_lines(tmp_path / "Toys_5.json", records[:200]),
        write_lines(tmp_path / "Games_5.json", records[150:]),
        write_lines(tmp_path / "meta_Toys.json", META),
    ]
    packed = []
    for path in reversed(plain[1:]):
        packed.append(tmp_path / "packed" / f"{path.name}.gz")
        packed[-1].write_bytes(gzip.compress(path.read_bytes()))
    packed.append(tmp_path / "packed" / "Toys.zip")
    with zipfile.ZipFile(packed[-1], "w") as archive:
        archive.write(plain[0], plain[0].name)
    one_way, other = described(tmp_path, *plain), described(tmp_path, *packed)
    assert one_way.rows.collect().equals(other.rows.collect())
    assert one_way.quirks == other.quirks
    assert one_way.quirks["duplicate_reviews"] == 50
    assert one_way.categories == ("Games", "Toys")


def test_metadata_reach_the_rows_of_their_items(tmp_path: Path) -> None:
    toys = write_lines(tmp_path / "Toys_5.json", shop(200))
    meta = write_lines(tmp_path / "meta_Toys.json", [*META, {"asin": "B000000003", "price": "a{b:c}"}])
    rows = described(tmp_path, toys, meta).rows.collect()
    known = rows.filter(pl.col("item") < "B000000020")
    assert known["price"].to_list() == pytest.approx(
        known["item"].str.slice(1).cast(pl.Float64).log1p().to_list()
    )
    unknown = rows.filter(pl.col("item") >= "B000000020")
    assert unknown["price"].null_count() == unknown["brand"].null_count() == len(unknown) > 0
    reviews = described(tmp_path, toys, meta)
    assert reviews.quirks["items_without_metadata"] == unknown["item"].n_unique()
    assert reviews.quirks["repeated_metadata"] == 1
    assert reviews.quirks["strange_prices"] == 0  # the first line of the item counts


def test_what_the_files_do_not_hold_is_no_field(tmp_path: Path) -> None:
    ratings = [f"B{n % 7:09},A1USER{n:07},{n % 5 + 1}.0,{START + n * DAY}" for n in range(50)]
    reviews = one(tmp_path, ratings, "Toys.csv")
    names = {f.name for f in reviews.fields}
    assert not {"price", "brand", "subcategory", "text_chars", "user_verified"} & names
    assert (reviews.votes, reviews.verified) == (False, False)
    old = one(tmp_path, [review_2014(f"u{n}") for n in range(5)])
    assert (old.votes, old.verified) == (True, False)
    names = {f.name for f in old.fields}
    assert "text_chars" in names
    assert not {"has_image", "style_attributes"} & names


def test_reviews_and_ratings_of_one_release_go_together(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "Toys_5.json", shop(100))
    table = write_lines(tmp_path / "Games.csv", [f"B{n:09},A1USERGAMES{n % 3},5.0,{START}" for n in range(9)])
    rows = described(tmp_path, texts, table).rows.collect()
    assert len(rows) == 109
    games = rows.filter(pl.col("category") == "Games")
    assert (
        games["text_chars"].null_count()
        == games["helpful"].null_count()
        == games["verified"].null_count()
        == 9
    )


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    new = write_lines(tmp_path / "A.jsonl", [review_2023()])
    old = write_lines(tmp_path / "B.json", [review_2014()])
    meta = write_lines(tmp_path / "meta_A.json", META)
    with pytest.raises(DataError, match=r"mixed.*A.jsonl is of 2023; B.json is of 2014.*mtlbench prepare"):
        described(tmp_path, new, old)
    with pytest.raises(DataError, match=r"No reviews among meta_A.json"):
        described(tmp_path, meta)
    with pytest.raises(DataError, match=r"No reviews of Books among A.jsonl, meta_A.json"):
        described(tmp_path, new, meta, categories=("A", "Books"))


def test_categories_are_chosen_by_file_name(tmp_path: Path) -> None:
    toys = write_lines(tmp_path / "Toys_5.json", shop(50))
    games = write_lines(tmp_path / "Games_5.json", ["not even reviews"])
    reviews = described(tmp_path, toys, games, categories=("Toys",))
    assert reviews.categories == ("Toys",)


def test_notes_that_lie_beside_the_data_are_passed_over(tmp_path: Path) -> None:
    toys = write_lines(tmp_path / "Toys_5.json", shop(50))
    notes = write_lines(tmp_path / "README.md", ["# Notes"])
    lines: list[str] = []
    described(tmp_path, notes, toys, lines=lines)
    assert "Passed over README.md." in lines


FORMS: dict[str, list[dict[str, Any] | str]] = {
    "Toys.2018.json": list(shop(700)),
    "Toys.2014.json": [
        review_2014(f"u{n}", f"i{n % 9}", unixReviewTime=START + n * DAY) for n in range(1100)
    ],
    "Toys.2023.jsonl": [review_2023(f"u{n}", f"i{n % 9}") for n in range(1100)],
    "ratings_Toys.csv": [f"A1USER{n:07},B{n % 9:09},4.0,{START}" for n in range(1100)],
    "Toys.rating_only.csv": [
        "user_id,parent_asin,rating,timestamp",
        *(f"u{n},i{n % 9},4.0,{START}123" for n in range(1100)),
    ],
    "meta_Toys.json": [
        repr({"asin": f"B{n}", "price": 1.5, "categories": [["a", "b"]]}) for n in range(1100)
    ],
}
edit = st.tuples(
    st.integers(0, 60_000),
    st.integers(0, 12),
    st.binary(max_size=4) | st.sampled_from([b'"', b"\n", b"\r", b"{", b",", b"\x1f\x8b", b"NaN", b"\xff"]),
)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(edit, min_size=1, max_size=4), packed=st.booleans())
def test_damaged_bytes_are_an_error_or_every_row_is_accounted_for(
    name: str, edits: list[tuple[int, int, bytes]], packed: bool, tmp_path: Path
) -> None:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in FORMS[name]]
    content = "\n".join(lines).encode()
    files = []
    if packed:
        content = gzip.compress(content, 1, mtime=0)
    for at, cut, put in edits:
        at %= len(content)
        content = content[:at] + put + content[at + cut :]
    (tmp_path / name).write_bytes(content)
    files.append(tmp_path / name)
    if name.startswith("meta"):
        files.append(write_lines(tmp_path / "Toys.json", FORMS["Toys.2014.json"]))
    try:
        reviews = described(tmp_path, *files)
    except DataError:
        return
    quirks = reviews.quirks
    assert quirks["rows"] == quirks["reviews"] + sum(quirks[reason] for reason in DROPPED)
    assert quirks["reviews"] == len(reviews.rows.collect())
    assert abs(quirks["rows"] - (1100 if name.startswith("meta") else len(lines))) <= 20
