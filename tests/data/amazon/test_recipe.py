"""`prepare amazon` and `prepare amazon-categories` from outside."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mtlbench.data.amazon.recipe import CATEGORIES_RECIPE, RECIPE, AmazonSettings, task_name
from mtlbench.data.card import read_card
from mtlbench.errors import DataError, UsageError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.data.amazon.files import DAY, START, review_2018, review_2023, shop, write_lines

Record = dict[str, Any]


def prepared(folder: Path, *files: Path, dataset: str = "amazon", **more: Any) -> Prepared:
    return prepare(Home(folder), dataset, source=files, **more)


def matrices(done: Prepared, split: str) -> dict[str, bytes]:
    """The bytes of every matrix of a split."""
    return {file.name: file.read_bytes() for file in sorted((done.path / split).glob("*.npy"))}


def test_its_tasks_are_labels_of_the_rows(tmp_path: Path) -> None:
    done = prepared(tmp_path, write_lines(tmp_path / "Toys_5.json.gz", shop(700)))
    assert done.schema.task_names == ("liked", "helpful", "verified")
    whole = Prepared(done.path, done.manifest, ("rating", "liked"))
    for split in SPLITS:
        labels = whole.open_split(split).labels
        assert np.array_equal(labels[:, 0] == 5, labels[:, 1] == 1)
        rows = pl.read_parquet(done.path / f"{split}.parquet")
        assert labels[:, 0].tolist() == rows["rating"].to_list()
        helpful = done.open_split(split).labels[:, 1]
        assert np.isnan(helpful).tolist() == rows["helpful"].is_null().to_list()
    assert np.isnan(helpful).any()


def test_no_feature_is_a_label_or_a_vote(tmp_path: Path) -> None:
    """With every label of a row turned round, and every vote, its own features stay what they were."""
    records = shop(700)
    turned = [
        r
        | {
            "overall": 5.0 if r["overall"] < 5 else 1.0,
            "verified": not r["verified"],
            "vote": "7" if "vote" not in r else "0",
        }
        for r in records
    ]
    features = []
    for name, some in (("as_it_is", records), ("turned", records[:-1] + turned[-1:])):
        done = prepared(tmp_path / name, write_lines(tmp_path / f"{name}.json", some), name="same")
        split = done.open_split("test")
        features.append((split.categorical[-1, 2:], split.numeric[-1], split.sequence[-1], split.labels[-1]))
    *one, labels = features[0]
    *other, turned_labels = features[1]
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert labels[0] != turned_labels[0]


Change = Callable[[Record, int], Record]
CHANGES: dict[str, Change] = {
    "labels": lambda r, n: r | {"overall": 1.0 + n % 5, "verified": n % 3 == 0, "vote": "99"},
    "texts": lambda r, n: (
        r | {"reviewText": "Why? " * n, "summary": "No!", "image": ["u"], "style": {"a:": "b"}}
    ),
    "who": lambda r, n: r | {"reviewerID": f"new {n}"},
    "what": lambda r, n: r | {"asin": f"new {n}"},
    "all of it": lambda r, n: review_2018(
        f"new {n}",
        f"new {n % 7}",
        overall=1.0 + n % 5,
        unixReviewTime=r["unixReviewTime"],
        verified=n % 2 == 0,
        vote="9" if n % 3 else None,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dataset", ["amazon", "amazon-categories"])
def test_nothing_of_the_test_period_changes_train_or_validation(
    change: str, dataset: str, tmp_path: Path
) -> None:
    """Who wrote, what, and how it was voted: only the number and the times of its reviews count."""
    by_name = {"Toys_5.json": shop(500, seed=1), "Games_5.json": shop(500, seed=2, users=40)}
    first_test = 3650 * DAY + START
    done = []
    for changed in (False, True):
        files = []
        for name, records in by_name.items():
            some = [
                CHANGES[change](r, n) if changed and r["unixReviewTime"] >= first_test else r
                for n, r in enumerate(records)
            ]
            folder = tmp_path / str(changed)
            folder.mkdir(exist_ok=True)
            files.append(write_lines(folder / name, [r | {"asin": name[0] + r["asin"]} for r in some]))
        done.append(prepared(folder / "home", *files, dataset=dataset))
    assert done[0].manifest["cuts"] == done[1].manifest["cuts"]
    assert done[0].manifest["cuts"][1] / 1000 <= first_test
    for split in ("train", "validation"):
        assert matrices(done[0], split) == matrices(done[1], split)
    assert matrices(done[0], "test") != matrices(done[1], "test")


def test_reviews_after_train_do_not_change_train(tmp_path: Path) -> None:
    records = shop(600)
    first = START + 3330 * DAY
    changed = [
        CHANGES["all of it"](r, n) if r["unixReviewTime"] >= first else r for n, r in enumerate(records)
    ]
    done = [
        prepared(tmp_path / name, write_lines(tmp_path / "Toys.json", some))
        for name, some in (("a", records), ("b", changed))
    ]
    assert done[0].manifest["cuts"][0] / 1000 <= first
    assert matrices(done[0], "train") == matrices(done[1], "train")


def test_the_newest_review_alone_moves_what_helpful_is_said_of(tmp_path: Path) -> None:
    """The one exception, which the card states: it stands for the day on which votes were counted."""
    records = shop(700)
    last = records[-1] | {"unixReviewTime": records[-1]["unixReviewTime"] + 100 * DAY}
    done = [
        prepared(tmp_path / name, write_lines(tmp_path / "Toys.json", some))
        for name, some in (("a", records), ("b", [*records[:-1], last]))
    ]
    defined = [np.isfinite(d.open_split("test").labels).sum(axis=0) for d in done]
    assert done[0].schema.task_names == ("liked", "helpful", "verified")
    assert (defined[1] - defined[0])[[0, 2]].tolist() == [0, 0]
    assert defined[1][1] > defined[0][1]


def test_raw_reviews_of_2023_have_all_tasks(tmp_path: Path) -> None:
    """Told by content; joined with metadata by the parent's id, not the variant's."""
    records = [
        review_2023(
            f"u{n % 50}",
            f"P{n // 50}",
            rating=float(1 + n * 7 % 5),
            helpful_vote=n % 3,
            verified_purchase=n % 4 > 0,
            timestamp=1_500_000_000_000 + n * 260_000_000,
            images=[{"small_image_url": "x"}] * (n % 2),
        )
        for n in range(700)
    ]
    items = [
        {"parent_asin": f"P{n}", "price": n + 0.5, "store": "S", "average_rating": 4.9} for n in range(14)
    ]
    files = [
        write_lines(tmp_path / "Toys.jsonl.gz", records),
        write_lines(tmp_path / "meta_Toys.jsonl", items),
    ]
    done = prepared(tmp_path, *files, options={"split": "official"})
    assert done.schema.task_names == ("liked", "helpful", "verified")
    assert done.manifest["quirks"]["items_without_metadata"] == 0
    rows = pl.concat([pl.read_parquet(done.path / f"{split}.parquet") for split in SPLITS])
    assert rows["price"].exp().round(3).to_list() == [n // 50 + 1.5 for n in range(700)]
    assert rows["has_image"].to_list() == [n % 2 for n in range(700)]
    assert rows["style_attributes"].null_count() == 700
    assert "style_attributes" not in {f.name for f in done.schema.fields}


def test_ids_that_are_numbers_in_one_file_are_those_that_are_texts_in_another(tmp_path: Path) -> None:
    """A user's number in one category is that user's text in the other."""
    toys = [r | {"reviewerID": int(r["reviewerID"][6:]), "asin": int(r["asin"][1:]) + 100} for r in shop(300)]
    games = [r | {"reviewerID": str(int(r["reviewerID"][6:]))} for r in shop(300, seed=1)]
    done = prepared(
        tmp_path, write_lines(tmp_path / "Toys.json", toys), write_lines(tmp_path / "Games.json", games)
    )
    assert done.manifest["splits"]["train"]["clusters"] <= 30


def test_ratings_alone_have_two_tasks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["user_id,parent_asin,rating,timestamp"]
    rows += [f"u{n % 40},i{n // 40},{rng.integers(1, 6)}.0,{(START + n * DAY) * 1000}" for n in range(800)]
    done = prepared(tmp_path, write_lines(tmp_path / "Toys.5core.rating_only.csv.gz", rows))
    assert [t["name"] for t in done.manifest["schema"]["tasks"]] == ["rating", "liked"]
    assert done.schema.task_names == ("liked",)


def test_a_task_with_one_value_on_train_is_left_out_and_said(tmp_path: Path) -> None:
    lines: list[str] = []
    file = write_lines(tmp_path / "Toys.json", [r | {"verified": True, "vote": "3"} for r in shop(600)])
    done = prepared(tmp_path, file, report=lines.append)
    assert done.schema.task_names == ("liked",)
    assert "Task verified has one value only on train: left out." in lines
    assert "Task helpful has one value only on train: left out." in lines


def test_a_task_that_cannot_be_judged_is_an_error_that_says_what_can(tmp_path: Path) -> None:
    """Left out it would be a train artifact that depends on later labels."""
    records = [r | {"verified": True} if r["unixReviewTime"] > START + 3000 * DAY else r for r in shop(700)]
    file = write_lines(tmp_path / "Toys.json", records)
    with pytest.raises(DataError, match=r"one value of verified: .* --set tasks=rating,liked,helpful"):
        prepared(tmp_path, file)
    done = prepared(tmp_path, file, options={"tasks": "rating,liked,helpful"})
    assert done.schema.task_names == ("liked", "helpful")
    with pytest.raises(UsageError, match=r"Unknown task 'likd'. Did you mean 'liked'?"):
        prepared(tmp_path / "other", file, options={"tasks": "likd"})


def test_a_task_that_no_later_row_defines_is_left_out_and_said(tmp_path: Path) -> None:
    """All of test within half a year: no vote of it is to be trusted."""
    lines: list[str] = []
    days = {r["unixReviewTime"] for r in shop(700)}
    close = {day: START + n * DAY // 2 // DAY * DAY for n, day in enumerate(sorted(days))}
    records = [r | {"unixReviewTime": close[r["unixReviewTime"]]} for r in shop(700)]
    done = prepared(tmp_path, write_lines(tmp_path / "Toys.json", records), report=lines.append)
    assert done.schema.task_names == ("liked", "verified")
    assert "Task helpful is defined on no row of validation, test: left out." in lines


def test_a_category_is_a_task_on_its_own_rows(tmp_path: Path) -> None:
    files = [
        write_lines(tmp_path / f"{name}.json", [r | {"asin": name + r["asin"]} for r in shop(400, seed=seed)])
        for seed, name in enumerate(("Video_Games", "Toys"))
    ]
    done = prepared(tmp_path, *files, dataset="amazon-categories")
    assert done.schema.task_names == ("toys", "video_games")
    for split in SPLITS:
        labels = done.open_split(split).labels
        assert (np.isnan(labels).sum(axis=1) == 1).all()
        rows = pl.read_parquet(done.path / f"{split}.parquet")
        assert np.nansum(labels, axis=1).tolist() == rows["liked"].to_list()
        assert (~np.isnan(labels[:, 0])).tolist() == (rows["category"] == "Toys").to_list()
    user = write_lines(tmp_path / "User.json", shop(200, seed=3))
    with pytest.raises(DataError, match=r"Category 'User' cannot name a task"):
        prepared(tmp_path / "two", files[1], user, dataset="amazon-categories")
    with pytest.raises(UsageError, match=r"takes two categories or more; the files are of Toys alone"):
        prepared(tmp_path / "one", files[1], dataset="amazon-categories")


def test_a_task_is_named_after_its_category() -> None:
    assert task_name("Gift_Cards") == "gift_cards"
    assert task_name("CDs-and & Vinyl_") == "cds_and_vinyl"


def test_the_card_names_two_files_a_category_and_release() -> None:
    card = read_card("amazon")
    for version in ("2014", "2018", "2023"):
        settings = AmazonSettings(categories=("Toys", "Gift_Cards"), version=version)
        files = RECIPE.files(card, settings)
        assert [f.optional for f in files] == [False, True] * 2
        assert all("{" not in text for f in files for text in (f.file, *f.addresses))
        assert files[3].file == f"meta_Gift_Cards.{version}." + files[3].file.split(".", 2)[2]
    assert len(RECIPE.files(card, AmazonSettings())) == 2 * len(card.text["download"]["categories"])
    with pytest.raises(UsageError, match=r"'../x' is no category"):
        RECIPE.files(card, AmazonSettings(categories=("../x",)))


@pytest.mark.parametrize("name", ["Toys.2018.json.gz", "toys_5.json.gz", "Toys_5.json"])
def test_files_in_the_raw_folder_are_found_under_either_name(name: str, tmp_path: Path) -> None:
    """Those of amazon are found for amazon-categories too, so that nothing is downloaded twice."""
    home, settings = Home(tmp_path), AmazonSettings(categories=("Toys",), version="2018")
    home.raw("amazon").mkdir(parents=True)
    file = write_lines(home.raw("amazon") / name, shop(5))
    assert RECIPE.find(home, read_card("amazon"), settings, ()) == (file,)
    assert CATEGORIES_RECIPE.find(home, read_card("amazon-categories"), settings, ()) == (file,)
    meta = write_lines(home.raw("amazon") / "meta_Toys.json.gz", [])
    assert RECIPE.find(home, read_card("amazon"), settings, ()) == (file, meta)


def test_both_cards_name_the_same_files() -> None:
    one, other = read_card("amazon"), read_card("amazon-categories")
    assert one.source == other.source
    assert one.text["download"] == other.text["download"]


def test_a_file_too_small_to_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        prepared(tmp_path, write_lines(tmp_path / "Toys.json", shop(2)))
    assert not (tmp_path / "datasets").exists()
