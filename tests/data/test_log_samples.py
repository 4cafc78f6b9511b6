"""Conversions on the real sample of UserBehavior, and RetailRocket's sample, which has no times."""

from pathlib import Path

import numpy as np
import pytest

from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.samples import samples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    source = samples("taobao_userbehavior", "UserBehavior_head814.csv.gz")
    return prepare(Home(tmp_path_factory.mktemp("home")), "taobao-conversion", source=[source])


def test_the_sample_has_as_many_conversions_as_its_card_says(conversions: Prepared) -> None:
    splits = conversions.manifest["splits"]
    assert [splits[s]["rows"] for s in SPLITS] == [19_981, 6_491, 8_618]
    assert [splits[s]["clusters"] for s in SPLITS] == [763, 559, 743]
    assert splits["train"]["positives"] == {"cart": 159, "fav": 53, "buy": 313}
    assert splits["test"]["positives"] == {"cart": 74, "fav": 26, "buy": 90}
    assert conversions.manifest["quirks"]["pairs_without_page_view"] == 2_980


def test_only_habits_are_high_alone(conversions: Prepared) -> None:
    """Even on the tasks that too few users have for the guard to judge."""
    for split in SPLITS:
        scores = conversions.manifest["guards"]["auc"][split]
        for reading, of_task in scores.items():
            for task, auc in of_task.items():
                high = auc is not None and abs(auc - 0.5) > 0.3
                assert not high or reading.startswith("user_fav"), (split, reading, task, auc)


def test_every_feature_is_finite(conversions: Prepared) -> None:
    assert all(np.isfinite(conversions.open_split(split).numeric).all() for split in SPLITS)


def test_retailrockets_sample_is_counted_and_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        prepare(Home(tmp_path), "retailrocket", source=[samples("retailrocket")])
    said = str(refused.value)
    for count in (
        "view_ecommerce.dat 78,371",
        "add_to_cart_ecommerce.dat 9,028",
        "purchase_ecommerce.dat 5,088",
    ):
        assert f"{count} rows" in said
    assert "3,431 visitors and 8,885 items in all. It has no times" in said
    assert not (tmp_path / "datasets").exists()
