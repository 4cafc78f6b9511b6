from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from mtlbench.data.userbehavior.days import NO_CATEGORY
from mtlbench.data.userbehavior.features import Histories, Past, fields, novelty
from mtlbench.data.userbehavior.log import Rows, clean
from mtlbench.data.userbehavior.window import DAY, TAOBAO, Window
from tests.data.logs import SAYS

OTHER = Window(
    first=date(2015, 5, 3),
    utc_hours=-5,
    days=4,
    splits={"train": range(1, 2), "validation": range(2, 3), "test": range(3, 4)},
    behaviours=("look", "take"),
    tasks=("view", "take"),
)


def test_a_window_starts_at_its_own_midnight() -> None:
    assert TAOBAO.start == 1511539200  # 2017-11-24 16:00 UTC
    assert OTHER.start == int(np.datetime64("2015-05-03T05:00:00", "s").astype(int))
    assert str(OTHER) == "2015-05-03 .. 2015-05-06 (UTC-5)"
    assert TAOBAO.between(TAOBAO.splits["train"]) == "2017-11-26 .. 2017-11-30 (UTC+8)"


def test_another_log_goes_through_the_same_code(tmp_path: Path) -> None:
    """Two behaviours, four days, an item whose category nobody knows, quirks of its own."""
    frame = pl.LazyFrame(
        {
            "user": [7, 7, 7, 9, 9],
            "item": [3, 3, 4, 4, 3],
            "category": [None, None, 50, 50, None],
            "behaviour": [0, 0, 1, 0, 0],
            "time": [5, 5, DAY + 6, 2 * DAY, 4 * DAY],
        },
        schema={**dict.fromkeys(("user", "item", "category"), pl.Int64), "behaviour": pl.UInt8}
        | {"time": pl.Int64},
    )
    log = clean(Rows("log", frame, rows=6, malformed=1, quirks={"odd": 2}), OTHER, tmp_path, SAYS)
    assert log.quirks == {
        "rows": 6,
        "malformed_rows": 1,
        "rows_outside_window": 1,
        "items_in_several_categories": 0,
        "duplicate_rows": 1,
        "odd": 2,
    }
    assert log.categories[log.category].tolist() == [NO_CATEGORY, 50]
    assert [len(log.day(day)) for day in range(OTHER.days)] == [1, 1, 1, 0]
    names = [f.name for f in fields(OTHER)]
    assert {"user_look", "category_take", "item_take_rate"} <= set(names)
    assert not {"user_pv", "item_look_rate"} & set(names)
    assert novelty(OTHER) == ("item_look", "item_take")
    assert Past(log.category, OTHER).item.shape == (2, 2)
    histories = Histories(log.day(1), log.category, 2, OTHER)
    counts, _ = histories.user(np.array([0]), np.array([2 * DAY]))
    assert counts.tolist() == [[0, 1]]


def test_a_long_window_keeps_the_earliest_category(tmp_path: Path) -> None:
    """Seconds of 200 days times the largest id exceed 64 bits; a day's do not."""
    long = replace(OTHER, days=200)
    times = [3 * DAY, 150 * DAY, 150 * DAY + 1, 199 * DAY]
    frame = pl.LazyFrame(
        {"user": [1, 1, 1, 1], "item": [5, 5, 6, 6], "category": [2**40 - 1, 3, None, 4]}
        | {"behaviour": [0, 0, 0, 0], "time": times},
        schema_overrides={"behaviour": pl.UInt8},
    )
    log = clean(Rows("log", frame, rows=4), long, tmp_path, SAYS)
    assert log.categories[log.category].tolist() == [2**40 - 1, 4]
    assert log.quirks["items_in_several_categories"] == 1
