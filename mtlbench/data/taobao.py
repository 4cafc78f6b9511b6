"""Taobao UserBehavior: will a user view, cart, favourite, buy an item today?

Zhu et al., "Learning Tree-based Deep Model for Recommender Systems", KDD 2018. Source, terms, quirks, the
split and its reason: datasets/taobao/card.toml; rows and features: mtlbench/data/userbehavior/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mtlbench.data.card import Card
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import Published
from mtlbench.data.unpack import unpack_one
from mtlbench.data.userbehavior.build import REVISION, build
from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import TAOBAO
from mtlbench.errors import DataError

LOG_NAMES = ("UserBehavior*.csv", "*.csv.gz", "*.zip", "*.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaobaoSettings:
    """Settings that the user may choose.

    Attributes:
        users: number of users to sample; "all", or more than there are, takes all. 100,000 suits a GPU.
        negatives: number of negatives sampled per positive.
        seed: seed of the negatives.
    """

    users: Annotated[int, Field(ge=1)] | Literal["all"] = 10_000
    negatives: Annotated[int, Field(ge=1, le=100)] = 4
    seed: Annotated[int, Field(ge=0)] = 0


class Taobao(Published):
    """Recipe of Taobao UserBehavior."""

    Settings = TaobaoSettings
    revision = REVISION

    def wanted(self, card: Card, settings: TaobaoSettings) -> Sequence[Sequence[str]]:
        """Return patterns of the log's names, since copies have many names."""
        return [LOG_NAMES]

    def build(self, raw: Raw, settings: TaobaoSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Unpack and prepare the log."""
        return build(
            read_log(the_log(raw.files, work, says), TAOBAO, work, says),
            users=settings.users,
            negatives=settings.negatives,
            seed=settings.seed,
            work=work,
            out=out,
            says=says,
        )


def the_log(files: Sequence[Path], work: Path, says: Reporting) -> Path:
    """Unpack the only CSV in the raw file.

    Raises:
        DataError: there are several files, or several CSVs in the file.
    """
    if len(files) != 1:
        given = ", ".join(file.name for file in files[:10])
        raise DataError(f"The log is one file; {len(files)} were given: {given}. Give one: {says.command}")
    return unpack_one(files[0], work, says, lambda name: name.lower().endswith(".csv"))


RECIPE = Taobao()
