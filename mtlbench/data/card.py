"""A dataset's card: the data's origin and terms, its quirks, and explanations of strong features."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mtlbench.home import shipped

ERROR_ABOVE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One raw file as published; 0 and empty mean unknown.

    Attributes:
        file: its name, which it also has in the raw folder. A recipe fills in placeholders such as
            `{category}`, here and in `addresses`.
        addresses: download addresses, tried in order; if empty, the file must be fetched by hand.
        kaggle: "owner/dataset[/path]" on Kaggle, if it is there.
        bytes: size of the file as published; `exact` tells whether to the byte.
        unpacked_bytes: size of its content.
        rows: number of rows.
        sha256, md5: published checksums.
        optional: whether the dataset can be prepared without the file.
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
        """Return the file with the names in braces replaced."""
        return replace(
            self,
            file=self.file.format(**names),
            addresses=tuple(address.format(**names) for address in self.addresses),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Origin and terms of the raw files; nothing here is verified.

    Attributes:
        page: web page for users, from which files without an address are fetched by hand.
        account: whether the page requires a log-in.
        terms, cite: terms and citation, printed before the first download to a home.
        files: the files to get.
        prepared_bytes: approximate size of the dataset when prepared with its default settings.
    """

    page: str
    terms: str
    cite: str
    files: tuple[RemoteFile, ...]
    account: bool = False
    prepared_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """The content of `datasets/NAME/card.toml`.

    Attributes:
        source: source of the raw files; None if they are simulated.
        explained: feature pattern -> why a feature may predict a task well on its own.
        balanced: the guard on features that must not predict a task: `task`, `of`, `low`, `high`.
        error_above: AUC of a single feature that no explanation excuses.
        where: path of the file, for messages.
        text: the parsed TOML, for `show`.
    """

    name: str
    source: Source | None
    explained: Mapping[str, str]
    balanced: Mapping[str, Any] | None
    error_above: float
    where: str
    text: Mapping[str, Any]


def read_card(dataset: str) -> Card:
    """Read the card that ships with the program."""
    return card_of(dataset, tomllib.loads(_text(dataset)), f"datasets/{dataset}/card.toml")


def card_head(dataset: str) -> str:
    """Return the card's first line: one sentence that sums the dataset up."""
    return _text(dataset).splitlines()[0].lstrip("# ")


def _text(dataset: str) -> str:
    return shipped("datasets", dataset, "card.toml").read_text(encoding="utf-8")


def card_of(name: str, data: Mapping[str, Any], where: str) -> Card:
    """Build the card from its parsed TOML, `data`."""
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
