import pytest

from mtlbench.data import DATASETS
from mtlbench.data.card import read_card


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_dataset_has_a_card_and_a_recipe(name: str) -> None:
    card, recipe = read_card(name), DATASETS[name].load()
    assert (card.source is None) == recipe.simulated
    assert all(why.endswith((".", ")")) for why in card.explained.values())
    if card.source is not None:
        assert card.source.addresses
        assert all(a.startswith("https://") for a in (card.source.page, *card.source.addresses))
        assert card.source.terms
        assert card.source.cite
