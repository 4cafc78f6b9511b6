"""The recipes on the real samples of 2014, 2018 and 2023, found through $MTLBENCH_SAMPLES."""

from pathlib import Path

import numpy as np
import pytest

from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.samples import samples

pytestmark = pytest.mark.slow

READ_IN_2018 = {  # rows, exact duplicates: as the sample's own page counts them
    "All_Beauty": (5_269, 1_108),
    "Appliances": (2_277, 2_088),
    "Gift_Cards": (2_972, 3),
    "Magazine_Subscriptions": (2_375, 47),
}


@pytest.fixture(scope="module")
def of_2018(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(Home(tmp_path_factory.mktemp("2018")), "amazon", source=[samples("amazon_reviews_2018")])


def test_its_quirks_are_the_counts_that_others_found(of_2018: Prepared) -> None:
    """Each file alone has the rows and duplicates of the sample's page; together none more."""
    quirks = of_2018.manifest["quirks"]
    assert quirks["rows"] == sum(rows for rows, _ in READ_IN_2018.values())
    assert quirks["duplicate_reviews"] == sum(double for _, double in READ_IN_2018.values())
    assert quirks["later_reviews_of_a_pair"] == 105
    assert quirks["reviews"] == 9_542 == sum(of_2018.manifest["splits"][s]["rows"] for s in SPLITS)
    assert quirks["copies_under_other_items"] == 3_272
    assert quirks["metadata_lines"] == 1_547 + 3_385
    assert quirks["repeated_metadata"] == 3_385 - 2_320
    for none in ("malformed_rows", "impossible_ratings", "unreadable_votes", "malformed_metadata_lines"):
        assert quirks[none] == 0


@pytest.mark.parametrize("category", ["All_Beauty", "Gift_Cards", "Magazine_Subscriptions"])
def test_each_category_alone_has_the_counts_of_its_page(category: str, tmp_path: Path) -> None:
    files = sorted(samples("amazon_reviews_2018").glob(f"*{category}*"))
    done = prepare(Home(tmp_path), "amazon", source=files)
    rows, double = READ_IN_2018[category]
    assert done.manifest["quirks"]["rows"] == rows
    assert done.manifest["quirks"]["duplicate_reviews"] == double
    assert done.schema.task_names == ("liked", "helpful", "verified")


def test_its_labels_are_as_common_as_others_found(of_2018: Prepared) -> None:
    labels = np.concatenate([of_2018.open_split(s).labels for s in SPLITS])
    liked, helpful, verified = np.nanmean(labels, axis=0)
    assert 0.83 < liked < 0.85
    assert 0.10 < helpful < 0.13
    assert 0.83 < verified < 0.85
    assert np.isnan(labels[:, 1]).sum() == 612  # all of them in the last 180 days
    assert not np.isnan(labels[:, [0, 2]]).any()


def test_every_feature_is_finite_and_varies_on_train(of_2018: Prepared) -> None:
    for split in SPLITS:
        assert np.isfinite(of_2018.open_split(split).numeric).all()
    assert (of_2018.open_split("train").numeric.std(axis=0) > 0).all()
    assert of_2018.manifest["guards"]["constant_fields"] == []


def test_what_is_high_alone_is_explained(of_2018: Prepared) -> None:
    above = of_2018.manifest["guards"]["above"]
    assert above
    assert all(entry["explained"] and max(entry["auc"], 1 - entry["auc"]) < 0.94 for entry in above)
    assert {entry["task"] for entry in above} == {"helpful", "verified"}


def test_a_category_is_a_task(tmp_path: Path) -> None:
    done = prepare(Home(tmp_path), "amazon-categories", source=[samples("amazon_reviews_2018")])
    assert done.schema.task_names == ("all_beauty", "appliances", "gift_cards", "magazine_subscriptions")
    defined = sum((~np.isnan(done.open_split(s).labels)).sum(axis=0) for s in SPLITS)
    assert defined.sum() == 9_542
    assert done.manifest["guards"]["above"] == []


def test_the_music_of_2014(tmp_path: Path) -> None:
    """Rows, positive votes and ratings as the sample's page gives them; metadata of every item."""
    done = prepare(Home(tmp_path), "amazon", source=[samples("amazon_reviews_2014")])
    quirks = done.manifest["quirks"]
    assert (quirks["rows"], quirks["duplicate_reviews"], quirks["metadata_lines"]) == (6_908, 0, 7_419)
    assert quirks["items_without_metadata"] == quirks["malformed_metadata_lines"] == 0
    assert done.schema.task_names == ("liked", "helpful")
    liked = sum(done.open_split(s).labels[:, 0].sum() for s in SPLITS)
    assert liked == 4_662


@pytest.mark.parametrize(("split", "rows"), [("dates", [2_028, 254, 253]), ("official", [2_237, 276, 22])])
def test_the_ratings_of_2023(split: str, rows: list[int], tmp_path: Path) -> None:
    done = prepare(
        Home(tmp_path), "amazon", source=[samples("amazon_reviews_2023")], options={"split": split}
    )
    assert [done.manifest["splits"][s]["rows"] for s in SPLITS] == rows
    assert done.schema.task_names == ("liked",)
    assert sum(done.open_split(s).labels[:, 0].sum() for s in SPLITS) == 1_413
