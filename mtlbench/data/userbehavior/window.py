"""The window of a log: its days, their calendar, and the days of each split."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from mtlbench.data.times import span
from mtlbench.load import SplitName

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Whole days of one calendar; rows outside are dropped.

    Attributes:
        first: date of day 0.
        utc_hours: hours by which the calendar's clock is ahead of UTC.
        days: number of days.
        splits: the days of each split, in order of time; the days before train only feed history.
        behaviours: names in the raw log, page views first, purchases last.
        tasks: label columns, one per behaviour. The first one is any behaviour, not only page views.
    """

    first: date
    utc_hours: int
    days: int
    splits: Mapping[SplitName, range]
    behaviours: tuple[str, ...]
    tasks: tuple[str, ...]

    @property
    def start(self) -> int:
        """Unix seconds of the first midnight."""
        midnight = datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)
        return int(midnight.timestamp()) - self.utc_hours * 3600

    @property
    def seconds(self) -> int:
        """Length of the window."""
        return self.days * DAY

    def date(self, day: int) -> date:
        """Return the date of a day's number."""
        return self.first + timedelta(days=day)

    def between(self, days: range) -> str:
        """Describe the first and the last of these days, for messages."""
        clock = f"UTC{self.utc_hours:+d}" if self.utc_hours else "UTC"
        return span(self.date(days[0]), self.date(days[-1]), clock)

    def __str__(self) -> str:
        return self.between(range(self.days))


TAOBAO = Window(
    first=date(2017, 11, 25),
    utc_hours=8,
    days=9,
    splits={"train": range(1, 6), "validation": range(6, 7), "test": range(7, 9)},
    behaviours=("pv", "cart", "fav", "buy"),
    tasks=("view", "cart", "fav", "buy"),  # a third of the bought pairs have no page view
)
"""Window of UserBehavior, and of the shop, which is simulated in its format."""
