"""Options as their dataclass has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field as Setting

from mtlbench.catalogue.options import options


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


def test_a_table_is_called_a_table() -> None:
    @dataclass(frozen=True)
    class Weights:
        weights: Mapping[str, float] = field(default_factory=dict)

    @dataclass(frozen=True)
    class Nested:
        arms: tuple[Base, ...]
        base: Base
        columns: dict[str, Annotated[Base, Setting()]]
        anything: Mapping[str, Any]

    assert options(Weights) == [{"name": "weights", "type": "table of float", "default": {}, "about": ""}]
    assert [o["type"] for o in options(Nested)] == ["list of table", "table", "table", "table"]


def test_what_may_be_written_is_told_from_what_it_becomes() -> None:
    @dataclass(frozen=True)
    class Files:
        files: Annotated[tuple[str, ...], Setting(min_length=1), "str | list of str"] = ()

    assert options(Files)[0]["type"] == "str | list of str"
