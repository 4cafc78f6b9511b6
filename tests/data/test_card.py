"""Cards, registry, wheel and README speak of the same datasets, and each card says what it must."""

import tomllib
from pathlib import Path

import pytest

from mtlbench.balancing import BALANCERS
from mtlbench.data import DATASETS
from mtlbench.data.card import RemoteFile, read_card
from mtlbench.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_card_says_what_it_must(name: str) -> None:
    card, recipe = read_card(name), DATASETS[name].load()
    assert card.text["tasks"].strip()
    assert card.text["split"].strip()
    assert card.text["quirks"] or recipe.simulated
    assert all(why.endswith((".", ")")) for why in card.explained.values())
    assert (card.source is None) == recipe.simulated
    if card.source is not None:
        addresses = [a for file in card.source.files for a in file.addresses]
        assert all(a.startswith(("https://", "http://")) for a in (card.source.page, *addresses))
        assert card.source.files
        assert card.source.terms
        assert card.source.cite
        assert addresses or card.source.account or any(f.kaggle for f in card.source.files)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_card_begins_with_a_sentence(name: str) -> None:
    first = (ROOT / "datasets" / name / "card.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith((".", "?"))


def test_every_card_is_registered_and_shipped_in_the_wheel() -> None:
    cards = {card.parent.name for card in (ROOT / "datasets").glob("*/card.toml")}
    assert cards == set(DATASETS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in cards:
        assert shipped[f"datasets/{name}/card.toml"] == f"mtlbench/shipped/datasets/{name}/card.toml"


def test_the_readme_names_every_dataset() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in DATASETS if f"`{name}`" not in readme] == []


def test_a_name_means_one_thing() -> None:
    """`mtlbench show NAME` needs no kind: no name stands in two registries."""
    names = [*DATASETS, *METHODS, *BALANCERS]
    assert len(names) == len(set(names))


def test_names_in_braces_are_filled_in() -> None:
    file = RemoteFile(file="{category}.json.gz", addresses=("https://a.org/{category}.json.gz",))
    filled = file.filled(category="Gift_Cards")
    assert (filled.file, filled.addresses) == ("Gift_Cards.json.gz", ("https://a.org/Gift_Cards.json.gz",))
