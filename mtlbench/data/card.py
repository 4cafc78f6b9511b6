"""A dataset's card: where the data is from and on what terms, what is odd in it, what is explained."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mtlbench.home import shipped

ERROR_ABOVE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One raw file as published. What is 0 or empty is not known.

    Attributes:
        file: its name, which it also has in the raw folder. `{category}` and the like stand for what a
            recipe fills in, here and in `addresses`.
        addresses: where to get it, tried in order; none means by hand only.
        kaggle: "owner/dataset[/path]" where Kaggle has it.
        bytes: of the file as published; `exact` says whether to the byte.
        unpacked_bytes: of what is in it.
        rows: that it holds.
        sha256, md5: checksums published somewhere.
        optional: the dataset can be prepared without it.
    """

    file: str
    addresses: tuple[str, ...] = ()
    kaggle: str = ""
    bytes: int = 0
    exact: bool = False
    unpacked_bytes: int = 0
    rows: int = 0
    sha256: str = ""
    md5: str = ""
    optional: bool = False

    def filled(self, **names: str) -> "RemoteFile":
        """The same with the names in braces replaced."""
        return replace(
            self,
            file=self.file.format(**names),
            addresses=tuple(address.format(**names) for address in self.addresses),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the raw files come from, none of them verified, and on what terms.

    Attributes:
        page: for people; where to get by hand what has no address.
        account: whether the page asks for a log-in.
        terms, cite: printed before the first download to a home.
        files: what to get.
        prepared_bytes: about what the dataset takes when prepared with its default settings.
    """

    page: str
    terms: str
    cite: str
    files: tuple[RemoteFile, ...]
    account: bool = False
    prepared_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """`datasets/NAME/card.toml`, read.

    Attributes:
        source: of the raw files; None where they are simulated.
        explained: feature pattern -> why a feature may say much about a task on its own.
        balanced: the guard on features that must say nothing about a task: `task`, `of`, `low`, `high`.
        error_above: AUC of a feature alone that no explanation excuses.
        where: which file it is, for messages.
        text: the card as TOML reads it, for `show`.
    """

    name: str
    source: Source | None
    explained: Mapping[str, str]
    balanced: Mapping[str, Any] | None
    error_above: float
    where: str
    text: Mapping[str, Any]


def read_card(dataset: str) -> Card:
    """The card that ships with the program."""
    return card_of(dataset, tomllib.loads(_text(dataset)), f"datasets/{dataset}/card.toml")


def card_head(dataset: str) -> str:
    """The card's first line: one sentence that sums the dataset up."""
    return _text(dataset).splitlines()[0].lstrip("# ")


def _text(dataset: str) -> str:
    return shipped("datasets", dataset, "card.toml").read_text(encoding="utf-8")


def card_of(name: str, data: Mapping[str, Any], where: str) -> Card:
    """The card whose TOML reads as `data`."""
    guards = data.get("guards", {})
    return Card(
        name=name,
        source=_source(data["source"]) if "source" in data else None,
        explained=data.get("explained", {}),
        balanced=guards.get("balanced"),
        error_above=guards.get("error_above", ERROR_ABOVE),
        where=where,
        text=data,
    )


def _source(data: Mapping[str, Any]) -> Source:
    files = (RemoteFile(**{**f, "addresses": tuple(f.get("addresses", ()))}) for f in data["files"])
    return Source(**{**data, "files": tuple(files)})
