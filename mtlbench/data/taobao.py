"""Taobao UserBehavior: will a user view, cart, favourite, buy an item today?

Zhu et al., "Learning Tree-based Deep Model for Recommender Systems", KDD 2018. Source, terms, quirks,
split and why: datasets/taobao/card.toml; how rows and features are made: mtlbench/data/userbehavior/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mtlbench.data.card import Card
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import download, lying_in, unpack
from mtlbench.data.userbehavior.build import REVISION, build
from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import TAOBAO
from mtlbench.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class TaobaoSettings:
    """What the user may choose.

    Attributes:
        users: how many to sample; "all", or more than there are, takes all. 100,000 is a GPU's size.
        negatives: sampled a positive.
        seed: of the negatives.
    """

    users: Annotated[int, Field(ge=1)] | Literal["all"] = 10_000
    negatives: Annotated[int, Field(ge=1, le=100)] = 4
    seed: Annotated[int, Field(ge=0)] = 0


class Taobao:
    """The recipe."""

    Settings = TaobaoSettings
    simulated = False
    revision = REVISION

    def find(
        self, home: Home, card: Card, settings: TaobaoSettings, given: Sequence[Path]
    ) -> tuple[Path, ...]:
        """What is given, else the newest UserBehavior file in the raw folder."""
        lying = lying_in(home.raw(card.name), ("UserBehavior*.csv", "*.csv.gz", "*.zip", "*.csv"))
        return tuple(given) or ((lying,) if lying else ())

    def fetch(self, home: Home, card: Card, settings: TaobaoSettings, work: Path, says: Reporting) -> Raw:
        """Download the archive into the raw folder."""
        assert card.source is not None
        return Raw((download(card.source, home.raw(card.name), card.name, says),))

    def build(self, raw: Raw, settings: TaobaoSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Unpack and prepare."""
        return build(
            read_log(unpack(raw.files[0], work, says), TAOBAO, work, says),
            users=settings.users,
            negatives=settings.negatives,
            seed=settings.seed,
            work=work,
            out=out,
            says=says,
        )


RECIPE = Taobao()
