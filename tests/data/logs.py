"""Small logs in UserBehavior's format, for tests."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mtlbench.data.recipe import Reporting
from mtlbench.data.userbehavior.log import Log, read_log
from mtlbench.data.userbehavior.window import DAY, TAOBAO

Row = tuple[int, int, int, str, int]
"""user, item, category, behaviour, seconds since the window's start"""

SAYS = Reporting(command="mtlbench prepare taobao --source FILE")


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Seconds since the window's start; day 0 is 25 November."""
    return day * DAY + hour * 3600 + minute * 60 + second


def lines(rows: Iterable[Row]) -> list[str]:
    return [f"{u},{i},{c},{b},{TAOBAO.start + t}" for u, i, c, b, t in rows]


def write_log(path: Path, rows: Iterable[Row], more: Iterable[str] = ()) -> Path:
    path.write_text("".join(f"{line}\n" for line in (*lines(rows), *more)), encoding="utf-8")
    return path


def read(folder: Path, rows: Iterable[Row], more: Iterable[str] = ()) -> Log:
    """The cleaned log of these rows."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    return read_log(write_log(folder / "log.csv", rows, more), TAOBAO, work, SAYS)


def random_rows(
    seed: int = 0, users: int = 25, items: int = 60, categories: int = 6, events: int = 1500
) -> list[Row]:
    """A busy little shop: every task happens in every split, seconds and items repeat."""
    rng = np.random.default_rng(seed)
    columns = (
        rng.integers(1, users + 1, events) * 7919 % 10_007,  # ids that are neither dense nor ordered
        (items * rng.random(events) ** 1.5).astype(int) + 100,
        rng.choice(len(TAOBAO.behaviours), events, p=[0.7, 0.1, 0.1, 0.1]),
        rng.integers(0, TAOBAO.days, events) * DAY + rng.integers(0, 600, events) * 144,
    )
    return [
        (u, i, 1000 + i % categories, TAOBAO.behaviours[b], t)
        for u, i, b, t in zip(*(c.tolist() for c in columns), strict=True)
    ]
