"""RetailRocket: will a visitor view an item, put it into the cart, buy it today?

A real shop's events over four and a half months; there is no paper. Rows, negatives and features are made
as for Taobao, see mtlbench/data/userbehavior/. Source, terms, quirks, the split and its reason:
datasets/retailrocket/card.toml
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mtlbench.data.card import Card
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.retailrocket.files import WINDOW, read_events, sort_out
from mtlbench.data.source import Published
from mtlbench.data.userbehavior.build import REVISION, build
from mtlbench.data.userbehavior.log import clean

LEAST_EVENTS = 2
"""Fewest train-day events of a visitor to be sampled: most have one event, with no past and no future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailRocketSettings:
    """Settings that the user may choose.

    Attributes:
        users: number of visitors to sample; "all", or more than there are, takes all.
        negatives: number of negatives sampled per positive.
        seed: seed of the negatives.
    """

    users: Annotated[int, Field(ge=1)] | Literal["all"] = 100_000
    negatives: Annotated[int, Field(ge=1, le=100)] = 4
    seed: Annotated[int, Field(ge=0)] = 0


class RetailRocket(Published):
    """Recipe of RetailRocket."""

    Settings = RetailRocketSettings
    revision = REVISION

    def wanted(self, card: Card, settings: RetailRocketSettings) -> Sequence[Sequence[str]]:
        """Return name patterns; Kaggle's archive of all files is accepted too."""
        events, *others = super().wanted(card, settings)
        return [(*events, "archive.zip", "ecommerce-dataset.zip"), *others]

    def build(
        self, raw: Raw, settings: RetailRocketSettings, work: Path, out: Path, says: Reporting
    ) -> Built:
        """Unpack, read and prepare the log."""
        rows = read_events(sort_out(raw.files, work, says), work, says)
        return build(
            clean(rows, WINDOW, work, says),
            users=settings.users,
            negatives=settings.negatives,
            seed=settings.seed,
            least_events=LEAST_EVENTS,
            work=work,
            out=out,
            says=says,
        )


RECIPE = RetailRocket()
