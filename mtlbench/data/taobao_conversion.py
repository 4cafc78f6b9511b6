"""Taobao UserBehavior: what follows the first view of an item, within 24 hours?

The same log, features and sampling of users as in taobao.py; here a row is a page view that happened, and no
negatives are drawn. Source, quirks, the split and its reason: datasets/taobao-conversion/card.toml
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mtlbench.data.card import Card
from mtlbench.data.recipe import Built, Raw, Reporting
from mtlbench.data.source import Published
from mtlbench.data.taobao import LOG_NAMES, the_log
from mtlbench.data.userbehavior.build import REVISION, check_space, joined, sample_users, write
from mtlbench.data.userbehavior.conversions import VIEWS, first_views, without_view
from mtlbench.data.userbehavior.log import read_log
from mtlbench.load import SPLITS
from mtlbench.schema import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionSettings:
    """Settings that the user may choose.

    Attributes:
        users: number of users to sample; "all", or more than there are, takes all.
    """

    users: Annotated[int, Field(ge=1)] | Literal["all"] = 10_000


class TaobaoConversion(Published):
    """Recipe of what follows the first view of an item."""

    Settings = ConversionSettings
    revision = REVISION
    raw_of = "taobao"

    def wanted(self, card: Card, settings: ConversionSettings) -> Sequence[Sequence[str]]:
        """Return patterns of the log's names, since copies have many names."""
        return [LOG_NAMES]

    def build(self, raw: Raw, settings: ConversionSettings, work: Path, out: Path, says: Reporting) -> Built:
        """Unpack and prepare the log."""
        log = read_log(the_log(raw.files, work, says), VIEWS, work, says)
        sampled = sample_users(log, settings.users, says)
        history = []
        for day in range(VIEWS.days):
            events = log.day(day)
            history.append(events.where(sampled[events.user]))
        days, unseen = {}, 0
        for split in SPLITS:
            for day in VIEWS.splits[split]:
                days[day] = first_views(history[day], history[day + 1], len(log.items))
                unseen += without_view(history[day], len(log.items))
        check_space(log, sum(map(len, days.values())), 1, work, says)
        tasks = tuple(Task(name=name) for name in VIEWS.tasks)
        return write(log, days, joined(history), tasks, {"pairs_without_page_view": unseen}, work, out, says)


RECIPE = TaobaoConversion()
