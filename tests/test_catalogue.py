"""What can be named, and one thing whole."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field as Setting

from mtlbench import render
from mtlbench.balancing import BALANCERS
from mtlbench.catalogue import catalogue, options, show
from mtlbench.data import DATASETS
from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.methods import METHODS


@dataclass(frozen=True)
class Base:
    """Settings.

    Attributes:
        rate, share: of what happens;
            in two lines.
        mode: how.
    """

    rate: Annotated[float, Setting(gt=0)] = 0.5
    share: int | None = None
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Derived(Base):
    """More settings.

    Attributes:
        sizes: of the layers: all.
    """

    sizes: tuple[int, ...] = (3, 4)


def test_options_come_from_the_dataclass_and_its_docstring() -> None:
    assert options(Derived) == [
        {"name": "rate", "type": "float", "default": 0.5, "about": "of what happens; in two lines."},
        {
            "name": "share",
            "type": "int | none",
            "default": None,
            "about": "of what happens; in two lines.",
        },
        {"name": "mode", "type": "a | b", "default": "a", "about": "how."},
        {"name": "sizes", "type": "list of int", "default": [3, 4], "about": "of the layers: all."},
    ]


@pytest.mark.parametrize("name", [*DATASETS, *METHODS, *BALANCERS])
def test_everything_can_be_shown_and_every_option_is_explained(
    name: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    found = show(name, home)
    unexplained = [
        o["name"] for o in (*found.get("settings", ()), *found.get("options", ())) if not o["about"]
    ]
    assert unexplained == []
    render.shown(found)
    printed = capsys.readouterr().out
    for head in ("Tasks", "Split", "Settings") if name in DATASETS else ("Options",):
        assert head in printed or not found.get("options", True)


def test_a_prepared_dataset_is_shown_with_its_rows(
    home: Home, toy: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    render.shown(show("toy", home))
    assert "train 600 rows, validation 300 rows, test 300 rows" in capsys.readouterr().out


def test_an_unknown_name_is_met_with_a_close_one(home: Home) -> None:
    with pytest.raises(UsageError, match="Did you mean 'taobao'"):
        show("taobo", home)


def test_datasets_are_listed_with_what_is_prepared(home: Home, toy: Prepared) -> None:
    rows = {row["name"]: row for row in catalogue("datasets", home)}
    assert set(rows) == {*DATASETS, "toy"}
    assert rows["toy"]["prepared"] is True
    assert rows["shop"]["prepared"] is False
