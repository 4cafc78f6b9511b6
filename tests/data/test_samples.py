"""The recipe on the real sample: 814 complete users of UserBehavior, found through $MTLBENCH_SAMPLES."""

import numpy as np
import pytest

from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.samples import samples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    source = samples("taobao_userbehavior", "UserBehavior_head814.csv.gz")
    return prepare(Home(tmp_path_factory.mktemp("home")), "taobao", source=[source])


def test_its_quirks_are_the_counts_that_others_found(sample: Prepared) -> None:
    """Rows, rows out of the window, duplicates and double categories as the sample's own page gives them."""
    quirks = sample.manifest["quirks"]
    assert quirks["rows"] == 84_287
    assert quirks["rows"] - quirks["rows_outside_window"] == 84_252
    assert quirks["rows_outside_window"] == 35
    assert quirks["duplicate_rows"] == 0
    assert quirks["malformed_rows"] == 0
    assert quirks["items_in_several_categories"] == 1


def test_its_splits_are_as_large_as_on_the_day_the_recipe_was_written(sample: Prepared) -> None:
    splits = sample.manifest["splits"]
    assert [splits[s]["rows"] for s in SPLITS] == [181_905, 39_545, 95_945]
    assert [splits[s]["clusters"] for s in SPLITS] == [809, 603, 809]
    assert splits["test"]["positives"] == {"view": 19_189, "cart": 1_217, "fav": 681, "buy": 407}
    assert 140 <= splits["validation"]["positives"]["buy"] <= 230  # 143-228 buys a day


def test_negatives_are_like_positives_by_their_items(sample: Prepared) -> None:
    """View AUC of item fields .49-.51, of category fields .45-.55; out of vocabulary shows on train alone."""
    of = {f.name: f.of for f in sample.schema.fields}
    for split in SPLITS:
        for reading, scores in sample.manifest["guards"]["auc"][split].items():
            name = reading.split()[0]
            if "train rate" in reading or of[name] not in ("item", "category"):
                continue
            if name == "item" and split == "train":
                assert 0.40 <= scores["view"] <= 0.60
            elif of[name] == "item":
                assert 0.49 <= scores["view"] <= 0.51, (split, reading)
            else:
                assert 0.45 <= scores["view"] <= 0.55, (split, reading)
        seen = sample.manifest["guards"]["never_seen"][split]
        assert abs(seen["positives"] - seen["negatives"]) < 0.02
        assert seen["positives"] > 0.6


def test_only_habits_are_high_alone(sample: Prepared) -> None:
    above = sample.manifest["guards"]["above"]
    assert {(e["field"].split()[0], e["task"]) for e in above} == {
        ("user_fav", "fav"),
        ("user_fav_rate", "fav"),
    }
    assert all(e["explained"] and e["auc"] < 0.90 for e in above)


def test_every_feature_varies_and_is_finite(sample: Prepared) -> None:
    for split in SPLITS:
        opened = sample.open_split(split)
        for numeric in (opened.numeric, opened.group_numeric):
            assert np.isfinite(numeric).all()
            assert (numeric.std(axis=0) > 0).all()
    train = sample.open_split("train")
    rows = np.concatenate([train.numeric, train.group_numeric[train.group]], axis=1)
    assert len(np.unique(rows, axis=0)) > 100_000
