"""A long log looks like the real one, is the same each time, and is made in bounded memory."""

from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from mtlbench.data import volume
from mtlbench.data.recipe import Reporting
from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import DAY, TAOBAO
from mtlbench.data.volume import blocks, write_volume
from mtlbench.errors import DataError
from tests.data.logs import SAYS

COLUMNS = ["user", "item", "category", "behaviour", "time"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("volume") / "log.csv"
    write_volume(60_000, 3, file, SAYS)
    return file


@pytest.fixture(scope="module")
def log(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, has_header=False, new_columns=COLUMNS)


def test_it_has_exactly_so_many_rows(log: pl.DataFrame) -> None:
    assert len(log) == 60_000
    assert log["user"].n_unique() == round(60_000 / volume.EVENTS_A_USER)
    for events in (1, 7, 150):
        assert sum(len(block) for block in blocks(events, 0)) == events


def test_the_shares_are_those_of_the_real_log(log: pl.DataFrame) -> None:
    """Of the full log; how often items repeat and purchases lack a view is known from its first 814 users."""
    shares = dict(log["behaviour"].value_counts(normalize=True).rows())
    for behaviour, share in zip(TAOBAO.behaviours, (0.896, 0.055, 0.029, 0.020), strict=True):
        assert shares[behaviour] == pytest.approx(share, abs=0.004)
    once = log.group_by("item").len()["len"] == 1
    assert 0.68 < once.mean() < 0.80  # type: ignore[operator]
    pairs = log.select("user", "item").n_unique()
    assert 1.2 < len(log) / pairs < 1.45
    bought = log.group_by("user", "item").agg(
        bought=(pl.col("behaviour") == "buy").any(), viewed=(pl.col("behaviour") == "pv").any()
    )
    unseen = 1 - bought.filter("bought")["viewed"].mean()  # type: ignore[operator]
    assert 0.2 < unseen < 0.45


def test_users_lie_in_blocks_in_the_order_of_their_texts(log: pl.DataFrame) -> None:
    users = log["user"].rle().struct.field("value").cast(pl.String).to_list()
    assert users == sorted(set(users))
    assert all(later >= 0 for later in log.select(pl.col("time").diff().over("user"))["time"].drop_nulls())


def test_the_days_and_the_oddities_are_those_of_the_real_log(path: Path, tmp_path: Path) -> None:
    cleaned = read_log(path, TAOBAO, tmp_path, SAYS)
    assert cleaned.quirks["malformed_rows"] == 0
    assert cleaned.quirks["items_in_several_categories"] == 0
    assert 10 < cleaned.quirks["rows_outside_window"] < 70
    assert 0 < cleaned.quirks["duplicate_rows"] < 20
    days = [len(cleaned.day(day)) for day in range(TAOBAO.days)]
    assert 1.2 < (days[7] + days[8]) / (days[5] + days[6]) < 1.4
    seconds = cleaned.day(3).time % DAY
    assert (seconds // 3600 == 21).sum() > 4 * (seconds // 3600 == 4).sum()


def test_equal_arguments_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    for seed, same in ((3, True), (4, False)):
        write_volume(60_000, seed, tmp_path / "again.csv", SAYS)
        assert ((tmp_path / "again.csv").read_bytes() == path.read_bytes()) == same


def test_it_is_made_some_users_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the log is, a block has the rows of so many users."""
    monkeypatch.setattr(volume, "USERS_A_BLOCK", 50)
    made = list(blocks(40_000, 0))
    assert len(made) == 8
    assert max(len(block) for block in made) < 8000
    assert all(block["user"].n_unique() <= 50 for block in made)
    last = [block["user"][-1] for block in made]
    assert all(str(one) < str(other) for one, other in pairwise(last))


def test_progress_and_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, int]] = []
    write_volume(3000, 0, tmp_path / "a.csv", Reporting("x", progress=lambda *step: seen.append(step)))
    assert seen[-1] == ("simulate", 3000, 3000)
    monkeypatch.setattr(volume, "BYTES_A_ROW", 10**15)
    with pytest.raises(DataError, match=r"3,000 events need about .*--events N"):
        write_volume(3000, 0, tmp_path / "b.csv", SAYS)
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
