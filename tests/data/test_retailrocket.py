"""RetailRocket's files become a log; the edition without times is refused; nothing later changes train."""

import gzip
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.recipe import Reporting
from mtlbench.data.retailrocket.files import LARGEST_ID, WINDOW, read_events, sort_out
from mtlbench.data.userbehavior.log import clean
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.data.tables import DRESSES, attempt, contents, csv, lines_in, prepared, table, write_files

Event = tuple[int, int, str, int, int | None]
"""timestamp in milliseconds, visitor, event, item, transaction"""
Property = tuple[int, int, str, str]
"""timestamp in milliseconds, item, property, value"""

SAYS = Reporting(command="mtlbench prepare retailrocket --source FILE")
DAY = 86_400
EVENTS, PROPERTIES = "timestamp,visitorid,event,itemid,transactionid", "timestamp,itemid,property,value"
ACTIVE = (0, 1, 2, 60, 109, 110, 111, 112, 124, 125, 126, 138)
"""Days with events: both ends of every split."""
fuzzing = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ms(day: int, second: float = 0) -> int:
    return round((WINDOW.start + day * DAY + second) * 1000)


def random_events(
    seed: int, count: int, visitors: int, items: int, days: tuple[int, ...] = ACTIVE
) -> list[Event]:
    """A log in order of time; a third of the events are no views, so that few visitors are enough."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.choice(days, count) * DAY + rng.integers(0, DAY, count)) * 1000 + WINDOW.start * 1000
    visitor, item = rng.integers(0, visitors, count) * 37, (items * rng.random(count) ** 2).astype(int) + 5
    kind = rng.choice(len(WINDOW.behaviours), count, p=[0.7, 0.2, 0.1])
    columns = (time.tolist(), visitor.tolist(), kind.tolist(), item.tolist())
    return [
        (t, v, WINDOW.behaviours[k], i, n if k == 2 else None)
        for n, (t, v, k, i) in enumerate(zip(*columns, strict=True))
    ]


def random_properties(seed: int, items: int) -> list[Property]:
    """Each item's category once or twice, some of them too late, among other properties."""
    rng = np.random.default_rng(seed)
    rows: list[Property] = []
    for item in range(5, items + 5):
        days = rng.integers(7, 135, rng.integers(1, 3)).tolist()
        rows += [(ms(day), item, "categoryid", str(1000 + item % 5)) for day in days]
        rows.append((ms(10), item, "790", f"n{item}.000"))
        rows.append((ms(10), item, "available", "1"))
    return [rows[n] for n in rng.permutation(len(rows))]


LOG, ITEMS = random_events(3, 4000, visitors=25, items=40), random_properties(4, 40)


def files(log: list[Event] = LOG, items: list[Property] | None = ITEMS) -> dict[str, bytes]:
    found = {"events.csv": csv(EVENTS, log)}
    if items is not None:
        half = len(items) // 2
        found["item_properties_part1.csv"] = csv(PROPERTIES, items[:half])
        found["item_properties_part2.csv"] = csv(PROPERTIES, items[half:])
    return found


def made(folder: Path, given: dict[str, bytes], **options: Any) -> Prepared:
    return prepared(folder, "retailrocket", given, **{"users": 12, **options})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return made(tmp_path_factory.mktemp("base"), files())


def known_categories(items: list[Property]) -> dict[int, int]:
    """The earliest of each item, before 22 August."""
    opens = datetime(2015, 8, 22, tzinfo=UTC).timestamp() * 1000
    found: dict[int, tuple[int, int]] = {}
    for t, item, name, value in items:
        if name == "categoryid" and t < opens:
            found[item] = min(found.get(item, (t, int(value))), (t, int(value)))
    return {item: category for item, (_, category) in found.items()}


def test_the_window_is_the_logs() -> None:
    """3 May to 18 September 2015, split at 22 August and 5 September; no day is lost or used twice."""
    dates = [str(WINDOW.date(day)) for day in (0, WINDOW.days - 1)]
    assert dates == ["2015-05-03", "2015-09-18"]
    firsts = [str(WINDOW.date(WINDOW.splits[split][0])) for split in SPLITS]
    assert firsts == ["2015-05-04", "2015-08-22", "2015-09-05"]
    assert [day for split in SPLITS for day in WINDOW.splits[split]] == list(range(1, WINDOW.days))


def test_positives_are_the_sampled_visitors_pairs(base: Prepared) -> None:
    """Labels of every split, recounted from the raw rows."""
    visitors = {v for split in SPLITS for v in table(base, split)["user"].to_list()}
    assert len(visitors) == 12
    for split in SPLITS:
        expected: dict[tuple[int, int, int], set[str]] = {}
        for t, v, kind, i, _ in LOG:
            day = (t // 1000 - WINDOW.start) // DAY
            if v in visitors and day in WINDOW.splits[split]:
                expected.setdefault((v, i, day), set()).add(kind)
        rows = table(base, split).filter(pl.col("view") == 1)
        found = {
            (v, i, (t - WINDOW.start) // DAY): labels
            for v, i, t, *labels in rows.select("user", "item", "time", "cart", "transaction").rows()
        }
        assert found == {k: [int(e in done) for e in WINDOW.behaviours[1:]] for k, done in expected.items()}
        assert base.manifest["splits"][split]["rows"] == 5 * len(expected)


def test_tasks_and_fields_are_named_by_the_shop(base: Prepared) -> None:
    assert [(t.name, t.given) for t in base.schema.tasks] == [
        ("view", ""), ("cart", "view"), ("transaction", "view"),
    ]  # fmt: skip
    names = {f.name for f in base.schema.fields}
    assert {"user_view", "user_addtocart", "user_transaction", "item_transaction_rate"} <= names
    for split in SPLITS:
        opened = base.open_split(split)
        assert np.isfinite(opened.numeric).all()
        assert set(np.unique(opened.labels)) == {0.0, 1.0}


def test_an_items_category_is_the_earliest_before_validation_opens(base: Prepared) -> None:
    known = known_categories(ITEMS)
    for split in SPLITS:
        rows = table(base, split).select("item", "category").unique().rows()
        assert rows
        assert all(category == known.get(item, -1) for item, category in rows)
    quirks = base.manifest["quirks"]
    assert quirks["property_rows"] == len(ITEMS)
    assert quirks["items_with_a_category"] == len(known)
    assert quirks["items_whose_category_came_too_late"] == 40 - len(known) > 0


def test_of_two_categories_the_earlier_counts(tmp_path: Path) -> None:
    items = [(ms(30), 5, "categoryid", "8"), (ms(20), 5, "categoryid", "9"), (ms(10), 5, "790", "7")]
    data = made(tmp_path, files(items=items))
    rows = table(data, "train").select("item", "category").unique().rows()
    assert {category for item, category in rows if item == 5} == {9}
    assert {category for item, category in rows if item != 5} == {-1}


def test_without_item_properties_no_category_is_known(tmp_path: Path) -> None:
    data = made(tmp_path, files(items=None))
    assert set(table(data, "train")["category"].to_list()) == {-1}
    assert "property_rows" not in data.manifest["quirks"]


def test_visitors_who_came_once_are_not_sampled(tmp_path: Path) -> None:
    once = [(ms(50, n), 10_000 + n, "view", 7, None) for n in range(30)]
    once += [(ms(120, n), 10_000 + n, "view", 7, None) for n in range(30)]  # again, but not on train days
    data = made(tmp_path, files([*LOG, *once]), users="all")
    visitors = {v for split in SPLITS for v in table(data, split)["user"].to_list()}
    assert visitors
    assert max(visitors) < 10_000


def test_quirks_count_every_row(tmp_path: Path) -> None:
    """Out of the window by a second at either end; twice in one second; an event that nobody knows."""
    t, v, kind, i, _ = LOG[0]
    odd: list[Event] = [
        (ms(0) - 1, 1, "view", 6, None),
        (ms(WINDOW.days), 1, "view", 6, None),
        ((t // 1000) * 1000 + 999 - t % 1000, v, kind, i, None),
        (ms(3), 1, "refund", 6, None),
    ]
    quirks = made(tmp_path, files([*LOG, *odd])).manifest["quirks"]
    seconds = {(t // 1000, v, kind, i) for t, v, kind, i, _ in LOG}
    assert quirks["rows"] == len(LOG) + 4
    assert quirks["rows_outside_window"] == 2
    assert quirks["malformed_rows"] == 1
    assert quirks["duplicate_rows"] == len(LOG) - len(seconds) + 1


def obvious(line: str) -> tuple[int, int, str, int] | None:
    """Second, visitor, event and item of a line, or None where it is malformed."""
    fields = [field.strip(' "') for field in line.split(",")]
    if len(fields) != 5 or fields[2] not in WINDOW.behaviours:
        return None
    if not all(re.fullmatch(r"[0-9]{1,13}", fields[n]) for n in (0, 1, 3)):
        return None
    time, visitor, item = (int(fields[n]) for n in (0, 1, 3))
    return (time // 1000, visitor, fields[2], item) if max(visitor, item) < LARGEST_ID else None


ODD = st.one_of(
    st.text(alphabet='0123456789,view" .-', max_size=40),
    st.builds(
        "{},{},{},{},".format,
        st.sampled_from([ms(0) - 1, ms(0), ms(5, 0.4), ms(5, 0.9), ms(WINDOW.days) - 1, ms(WINDOW.days)]),
        st.sampled_from([0, 7, LARGEST_ID - 1, LARGEST_ID, ""]),
        st.sampled_from([*WINDOW.behaviours, "pv", "View"]),
        st.sampled_from([0, 9, LARGEST_ID, -1]),
    ),
)


@fuzzing
@given(odd=st.lists(ODD, max_size=12), places=st.lists(st.integers(0, len(LOG)), min_size=12, max_size=12))
def test_rows_in_are_rows_out_and_rows_dropped(
    tmp_path_factory: pytest.TempPathFactory, odd: list[str], places: list[int]
) -> None:
    """Against a reading line by line; 12 odd lines of 16,000 are below the share that is an error."""
    folder = tmp_path_factory.mktemp("log")
    lines = [",".join("" if value is None else str(value) for value in event) for event in LOG * 4]
    for line, place in zip(odd, places, strict=False):
        lines.insert(place, line)
    path = folder / "events.csv"
    path.write_text("\n".join([EVENTS, *lines]) + "\n")
    rows = read_events(sort_out([path], folder, SAYS), folder, SAYS)
    log = clean(rows, WINDOW, folder, SAYS)

    read = [obvious(line) for line in lines]
    sound = [event for event in read if event is not None]
    inside = [event for event in sound if 0 <= event[0] - WINDOW.start < WINDOW.days * DAY]
    expected = {(v, i, kind, t) for t, v, kind, i in inside}
    days = [log.day(day) for day in range(WINDOW.days)]
    found = {
        (int(log.users[u]), int(log.items[i]), WINDOW.behaviours[b], int(t) + WINDOW.start)
        for day in days
        for u, i, b, t in zip(day.user, day.item, day.behaviour, day.time, strict=True)
    }
    assert found == expected
    quirks = log.quirks
    assert quirks["rows"] == len(lines)
    assert quirks["malformed_rows"] == len(lines) - len(sound)
    assert quirks["rows_outside_window"] == len(sound) - len(inside)
    assert quirks["duplicate_rows"] == len(inside) - len(expected) == len(inside) - sum(map(len, days))


def changed(seed: int) -> dict[str, bytes]:
    """Other events on test days, other properties from the opening of validation on, in another order."""
    rng = np.random.default_rng(seed)
    log = [e for e in LOG if e[0] < ms(125)]
    for t, v, kind, i, n in LOG:
        if t >= ms(125) and rng.random() < 0.8:
            log.append((t, v, kind, i + int(rng.random() < 0.2), n))
    log += [(ms(126, n), 37 * n, "view", 90_000, None) for n in range(40)]
    opens = ms(WINDOW.splits["validation"][0])
    items = [p for p in ITEMS if p[0] < opens]
    items += [(t, i, name, "4") for t, i, name, _ in ITEMS if t >= opens and rng.random() < 0.7]
    items += [(opens + n, 90_000 - n, "categoryid", "1001") for n in range(3)]
    return files([log[n] for n in rng.permutation(len(log))], [items[n] for n in rng.permutation(len(items))])


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_of_the_test_period_changes_train_or_validation(
    base: Prepared, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    other = made(tmp_path_factory.mktemp("changed"), changed(seed))
    assert contents(other, "train", "validation") == contents(base, "train", "validation")
    assert other.fingerprint != base.fingerprint


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_tables_however_written(base: Prepared, tmp_path: Path, dress: str) -> None:
    dressed = {name: DRESSES[dress](text) for name, text in files().items()}
    assert made(tmp_path, dressed).fingerprint == base.fingerprint


def test_kaggles_archive_will_do(base: Prepared, tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.raw("retailrocket").mkdir(parents=True)
    with zipfile.ZipFile(home.raw("retailrocket") / "archive.zip", "w") as archive:
        for name, text in {**files(), "category_tree.csv": b"categoryid,parentid\n1016,213\n"}.items():
            archive.writestr(name, text)
    assert prepare(home, "retailrocket", options={"users": 12}).fingerprint == base.fingerprint


def test_files_are_told_by_their_first_lines(base: Prepared, tmp_path: Path) -> None:
    renamed = {f"{n}.txt": text for n, text in enumerate(files().values())} | {"notes.txt": b"# read me\n"}
    said: list[str] = []
    source = write_files(tmp_path / "given", renamed)
    data = prepare(Home(tmp_path), "retailrocket", source=[source], options={"users": 12}, report=said.append)
    assert data.fingerprint == base.fingerprint
    assert "Not read: notes.txt." in said


@pytest.mark.parametrize("count", [0, 2])
def test_anything_but_one_log_of_events_is_refused(tmp_path: Path, count: int) -> None:
    given = {"item_properties_part1.csv": csv(PROPERTIES, ITEMS), "other.csv": b"a,b\n1,2\n"}
    given |= {f"events-{n}.csv": csv(EVENTS, LOG) for n in range(count)}
    with pytest.raises(DataError, match=r"one log of events.*other\.csv.*kaggle\.com.*mtlbench prepare"):
        made(tmp_path, given)


def without_times() -> dict[str, bytes]:
    """The form of Case Recommender's edition, packed."""
    head = b"visitorid\titemid\tevent\n"
    pairs = {"view": [(1, 1), (1, 2), (2, 3)], "add_to_cart": [(1, 2)], "purchase": [(1, 2), (3, 4)]}
    return {
        f"{name}_ecommerce.dat.gz": gzip.compress(head + "".join(f"{v}\t{i}\t1\n" for v, i in some).encode())
        for name, some in pairs.items()
    }


def test_the_edition_without_times_is_recognised_counted_and_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        made(tmp_path, {**without_times(), "README.md": b"# what it is\n"})
    said = str(refused.value)
    for part in (
        "CaseRec",
        "add_to_cart_ecommerce.dat 1 rows, purchase_ecommerce.dat 2 rows, view_ecommerce.dat 3 rows",
        "3 visitors and 4 items",
        "no times",
        "events.csv from https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
        "mtlbench prepare retailrocket --source",
    ):
        assert part in said


@fuzzing
@given(damage=st.binary(max_size=40), place=st.integers(0, 130_000), length=st.integers(0, 40))
def test_any_bytes_in_the_events_give_a_plain_error_or_count_every_row(
    tmp_path: Path, damage: bytes, place: int, length: int
) -> None:
    whole = csv(EVENTS, LOG)
    raw = whole[:place] + damage + whole[place + length :]
    data = attempt(lambda: made(tmp_path, {"events.csv": raw}))
    if data is None:
        return
    quirks = data.manifest["quirks"]
    assert quirks["rows"] == lines_in(raw)
    assert quirks["malformed_rows"] <= 0.001 * quirks["rows"]
    assert all(np.isfinite(data.open_split(split).numeric).all() for split in SPLITS)


@fuzzing
@given(damage=st.binary(max_size=30), place=st.integers(0, 60_000), length=st.integers(0, 30))
def test_any_bytes_in_the_properties_give_a_plain_error_or_count_every_row(
    tmp_path: Path, damage: bytes, place: int, length: int
) -> None:
    whole = csv(PROPERTIES, random_properties(5, 800))
    raw = whole[:place] + damage + whole[place + length :]
    given = {"events.csv": csv(EVENTS, LOG), "item_properties_part1.csv": raw}
    data = attempt(lambda: made(tmp_path, given))
    if data is None or "property_rows" not in data.manifest["quirks"]:
        return
    assert data.manifest["quirks"]["property_rows"] == lines_in(raw)
