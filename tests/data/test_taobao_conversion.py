"""Conversions from a raw log to matrices: rows, labels, what they may know, and what damage may not do."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.card import read_card
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.data.logs import Row, at, lines, random_rows
from tests.data.tables import DRESSES, attempt, contents, lines_in, prepared, rows, table

START = 1511539200
DAYS = {"train": (1, 2, 3), "validation": (5,), "test": (7,)}
ROWS = random_rows(5, users=30, items=30, events=9000)
fuzzing = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def text(log: list[Row]) -> bytes:
    return "".join(f"{line}\n" for line in lines(log)).encode()


def made(folder: Path, log: list[Row] | bytes, **options: object) -> Prepared:
    raw = log if isinstance(log, bytes) else text(log)
    return prepared(folder, "taobao-conversion", {"UserBehavior.csv": raw}, **{"users": 12, **options})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return made(tmp_path_factory.mktemp("base"), ROWS)


def test_rows_are_the_first_views_of_each_day_and_labels_what_followed(base: Prepared) -> None:
    """Every split, recounted from the raw rows."""
    users = set(table(base, "train")["user"].to_list())
    assert len(users) == 12
    for split, days in DAYS.items():
        first: dict[tuple[int, int, int], int] = {}
        for u, i, _, b, t in ROWS:
            if u in users and b == "pv" and t // at(1) in days:
                first[u, i, t // at(1)] = min(t, first.get((u, i, t // at(1)), t))
        expected = {}
        for (u, i, _), t in first.items():
            later = {b for v, j, _, b, s in ROWS if (u, i) == (v, j) and t < s <= t + 24 * 3600}
            expected[u, i, t + START] = tuple(int(b in later) for b in ("cart", "fav", "buy"))
        found = table(base, split).select("user", "item", "time", "cart", "fav", "buy").rows()  # type: ignore[arg-type]
        assert {row[:3]: row[3:] for row in found} == expected
        assert len(found) == len(expected) == base.manifest["splits"][split]["rows"]


def test_tasks_are_defined_everywhere_and_in_one_family(base: Prepared) -> None:
    assert [(t.name, t.kind, t.given, t.optional) for t in base.schema.tasks] == [
        (name, "binary", "", False) for name in ("cart", "fav", "buy")
    ]
    assert base.schema.cluster == "user"
    for split in SPLITS:
        opened = base.open_split(split)
        assert set(np.unique(opened.labels)) == {0.0, 1.0}
        assert np.isfinite(opened.numeric).all()
        assert opened.clusters().tolist() == table(base, split)["user"].to_list()


def test_a_feature_counts_what_the_user_did_with_the_item_before(base: Prepared) -> None:
    """Scaled values are a rising function of the count, recounted from the raw rows."""
    column = [f.name for f in base.schema.of_kind("numeric")].index("user_item_events")
    times: dict[tuple[int, int], list[int]] = {}
    for u, i, _, _, t in set(ROWS):
        times.setdefault((u, i), []).append(t + START)
    for split in SPLITS:
        values = base.open_split(split).numeric[:, column]
        of_count: dict[int, set[float]] = {}
        for (u, i, t), value in zip(
            table(base, split).select("user", "item", "time").rows(), values.tolist(), strict=True
        ):
            of_count.setdefault(sum(s < t for s in times[u, i]), set()).add(value)
        assert all(len(seen) == 1 for seen in of_count.values())
        levels = [of_count[count].pop() for count in sorted(of_count)]
        assert levels == sorted(levels)
        assert len(levels) > 2


def changed_from(day: int, seed: int) -> list[Row]:
    """The log with the rows from that day on thinned out, altered and added to, in another order."""
    rng = np.random.default_rng(seed)
    log = [r for r in ROWS if r[4] < at(day)]
    for u, i, c, b, t in ROWS:
        if t >= at(day) and rng.random() < 0.8:
            altered = rng.random() < 0.2
            log.append(
                (u, i + 1 if altered else i, 7 if altered else c, "buy" if rng.random() < 0.2 else b, t)
            )
    log += [(u, 9999, 5, "pv", at(day, 3)) for u in range(1, 40)]
    return [log[n] for n in rng.permutation(len(log))]


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_later_row_changes_an_earlier_split(
    base: Prepared, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    later = made(folder / "test", changed_from(7, seed))
    assert contents(later, "train", "validation") == contents(base, "train", "validation")
    assert later.fingerprint != base.fingerprint
    assert contents(made(folder / "validation", changed_from(5, seed)), "train") == contents(base, "train")


@pytest.mark.parametrize("dress", ["as it is", "windows line ends", "byte order mark", "no last line end"])
def test_the_same_log_however_written(base: Prepared, tmp_path: Path, dress: str) -> None:
    assert made(tmp_path, DRESSES[dress](text(ROWS))).fingerprint == base.fingerprint


def test_quoted_fields_are_refused_in_plain_words(tmp_path: Path) -> None:
    assert attempt(lambda: made(tmp_path, DRESSES["quoted fields"](text(ROWS)))) is None


@fuzzing
@given(damage=st.binary(max_size=40), place=st.integers(0, 250_000), length=st.integers(0, 40))
def test_any_bytes_give_a_plain_error_or_count_every_row(
    tmp_path: Path, damage: bytes, place: int, length: int
) -> None:
    whole = text(ROWS)
    raw = whole[:place] + damage + whole[place + length :]
    data = attempt(lambda: made(tmp_path, raw))
    if data is None:
        return
    quirks = data.manifest["quirks"]
    assert quirks["rows"] == lines_in(raw, header=False)
    assert rows(data) > 0
    assert quirks["malformed_rows"] + quirks["rows_outside_window"] <= 0.002 * quirks["rows"]
    assert all(np.isfinite(data.open_split(split).numeric).all() for split in SPLITS)


def test_a_log_without_conversions_is_refused(tmp_path: Path) -> None:
    assert attempt(lambda: made(tmp_path, [r for r in ROWS if r[3] == "pv"])) is None


def test_the_log_of_taobao_serves_too(tmp_path: Path, base: Prepared) -> None:
    """It lies there once; nothing is downloaded."""
    home = Home(tmp_path)
    home.raw("taobao").mkdir(parents=True)
    (home.raw("taobao") / "UserBehavior.csv").write_bytes(text(ROWS))
    assert prepare(home, "taobao-conversion", options={"users": 12}).fingerprint == base.fingerprint
    assert [f.name for f in home.datasets.iterdir() if not f.name.startswith(".")] != []
    assert not home.raw("taobao-conversion").exists()


def test_both_cards_name_the_same_files() -> None:
    one, other = read_card("taobao").source, read_card("taobao-conversion").source
    assert one is not None
    assert other is not None
    assert (one.files, one.page, one.cite) == (other.files, other.page, other.cite)


def test_pairs_without_a_view_are_counted(base: Prepared) -> None:
    users = set(table(base, "train")["user"].to_list())
    days = {day for some in DAYS.values() for day in some}
    seen: dict[tuple[int, int, int], set[str]] = {}
    for u, i, _, b, t in ROWS:
        if u in users and t // at(1) in days:
            seen.setdefault((u, i, t // at(1)), set()).add(b)
    unseen = sum("pv" not in done for done in seen.values())
    assert base.manifest["quirks"]["pairs_without_page_view"] == unseen > 0


def test_people_can_read_the_rows(base: Prepared) -> None:
    assert {"user", "item", "time", "category", "cart", "fav", "buy"} <= set(table(base, "test").columns)
    assert table(base, "test")["user"].dtype == pl.Int64
