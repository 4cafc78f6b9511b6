"""A dataset's card: where the data is from and on what terms, what is odd in it, what is explained."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtlbench.home import shipped


@dataclass(frozen=True, slots=True)
class Source:
    """Where the raw file comes from: addresses are tried in order, none of them is verified."""

    page: str
    file: str
    bytes: int
    addresses: tuple[str, ...]
    terms: str
    cite: str


@dataclass(frozen=True, slots=True)
class Card:
    """`datasets/NAME/card.toml`, read.

    Attributes:
        source: of the raw file; None where it is simulated.
        explained: feature pattern -> why a feature may say much about a task on its own.
        balanced: the guard on features that must say nothing about a task: `task`, `of`, `low`, `high`.
    """

    name: str
    source: Source | None
    explained: Mapping[str, str]
    balanced: Mapping[str, Any] | None


def read_card(dataset: str) -> Card:
    """The card that ships with the program."""
    text = shipped("datasets", dataset, "card.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    source = data.get("source")
    return Card(
        name=dataset,
        source=None
        if source is None
        else Source(
            page=source["page"],
            file=source["file"],
            bytes=source["bytes"],
            addresses=tuple(source["addresses"]),
            terms=source["terms"],
            cite=source["cite"],
        ),
        explained=data.get("explained", {}),
        balanced=data.get("guards", {}).get("balanced"),
    )
