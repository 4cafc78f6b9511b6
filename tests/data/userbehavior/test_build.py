"""From a log to matrices: nothing of the test days, and nothing but train, decides what train looks like."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtlbench.data.hashing import splitmix64
from mtlbench.data.matrix import size_bytes
from mtlbench.data.userbehavior.build import build, sample_users
from mtlbench.data.userbehavior.features import never
from mtlbench.data.userbehavior.log import read_log
from mtlbench.data.userbehavior.window import TAOBAO
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared, SplitName
from mtlbench.prepare import prepare
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING
from tests.data.logs import SAYS, Row, at, random_rows, read, write_log

Columns = dict[str, NDArray[Any]]
TRAIN, VALIDATION, TEST = range(1, 6), range(6, 7), range(7, 9)
ROWS = random_rows(11, users=30, items=80, events=2500)
ROWS += [(ROWS[n][0], 9000 + n, 1001, "pv", at(1 + n % 5, n % 24)) for n in range(40)]  # rare items


def prepared(folder: Path, rows: list[Row], **options: object) -> Prepared:
    folder.mkdir(parents=True, exist_ok=True)
    log = write_log(folder / "log.csv", rows)
    return prepare(Home(folder), "taobao", source=[log], options={"users": 12, **options})


def contents(data: Prepared, *splits: str) -> dict[str, bytes]:
    """The matrices' bytes, what the vocabularies hold, and the Parquet rows."""
    files = {f"{s}/{f.name}": f.read_bytes() for s in splits for f in sorted((data.path / s).iterdir())}
    tables = {s: pl.read_parquet(data.path / f"{s}.parquet").write_ndjson().encode() for s in splits}
    return {**files, **tables, "vocabularies": repr(data.vocabularies).encode()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("base"), ROWS)


@pytest.fixture(scope="module")
def unscaled(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The same with numeric fields as they were before scaling."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mtlbench.data.scaling.scale", lambda *arguments: None)
        return prepared(tmp_path_factory.mktemp("unscaled"), ROWS)


def columns(data: Prepared, split: SplitName, kind: Literal["categorical", "numeric"]) -> Columns:
    """Each field of that kind, row by row."""
    opened = data.open_split(split)
    assert opened.group is not None
    matrix = np.concatenate([getattr(opened, kind), getattr(opened, f"group_{kind}")[opened.group]], axis=1)
    return {f.name: matrix[:, i] for i, f in enumerate(data.schema.of_kind(kind))}


def mutated(seed: int) -> list[Row]:
    """Test-day rows dropped, changed and added; users, items and categories old and new; no other row."""
    rng = np.random.default_rng(seed)
    before = [r for r in ROWS if r[4] < at(7)]
    test = [r for r in ROWS if r[4] >= at(7)]
    kept = [r for r in test if rng.random() < rng.choice([0.7, 1.0])]
    moved = [(u, i, c, b, at(int(rng.integers(7, 9)), int(rng.integers(24)))) for u, i, c, b, _ in kept]
    added = []
    for _ in range(rng.integers(0, 400)):
        user = int(rng.choice([r[0] for r in ROWS])) if rng.random() < 0.6 else int(rng.integers(1, 10**6))
        item = int(rng.choice([r[1] for r in ROWS])) if rng.random() < 0.6 else int(rng.integers(1, 10**6))
        behaviour = str(rng.choice(["pv", "cart", "fav", "buy"]))
        added.append((user, item, int(rng.integers(1, 2000)), behaviour, int(rng.integers(at(7), at(9)))))
    rows = before + (moved if rng.random() < 0.5 else kept) + added
    return [rows[n] for n in rng.permutation(len(rows))]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_no_test_day_row_changes_train_or_validation(
    base: Prepared, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    changed = prepared(tmp_path_factory.mktemp("changed"), mutated(seed))
    assert contents(changed, "train", "validation") == contents(base, "train", "validation")
    assert changed.fingerprint != base.fingerprint  # the mutation did reach the test split


def test_no_validation_day_row_changes_train(base: Prepared, tmp_path: Path) -> None:
    rows = [r for r in ROWS if r[4] // at(1) != 6 or r[0] % 3] + [(5, 7, 9, "buy", at(6, 4))]
    changed = prepared(tmp_path, rows)
    assert contents(changed, "train") == contents(base, "train")
    assert contents(changed, "validation") != contents(base, "validation")


def test_another_day_leaves_a_days_rows_alone(base: Prepared, tmp_path: Path) -> None:
    """Days are independent: without 26 November the later days have the same users, items and labels."""
    changed = prepared(tmp_path, [r for r in ROWS if r[4] // at(1) != 1])
    columns = ("user", "item", "time", "view", "cart", "fav", "buy")
    for split in SPLITS:
        one, other = (
            pl.read_parquet(p.path / f"{split}.parquet", columns=list(columns)).filter(
                pl.col("time") >= 1511539200 + at(2)
            )
            for p in (base, changed)
        )
        assert one.equals(other)


def test_splits_hold_their_days_and_no_other(base: Prepared) -> None:
    for split, days in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        time = pl.read_parquet(base.path / f"{split}.parquet")["time"] - 1511539200
        assert sorted(set((time // at(1)).to_list())) == list(days)


def test_positives_are_the_sampled_users_pairs(base: Prepared) -> None:
    """Labels of every split, recounted from the raw rows."""
    users = set(pl.read_parquet(base.path / "train.parquet")["user"].to_list())
    assert len(users) == 12
    for split, days in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        frame = pl.read_parquet(base.path / f"{split}.parquet").filter(pl.col("view") == 1)
        found = {
            (u, i, (t - 1511539200) // at(1)): row
            for u, i, t, *row in frame.select("user", "item", "time", "cart", "fav", "buy").rows()
        }
        expected: dict[tuple[int, int, int], set[str]] = {}
        for u, i, _, b, t in ROWS:
            if u in users and t // at(1) in days:
                expected.setdefault((u, i, t // at(1)), set()).add(b)
        assert found == {k: [int(b in done) for b in ("cart", "fav", "buy")] for k, done in expected.items()}
        counted = base.manifest["splits"][split]
        assert counted["rows"] == 5 * len(expected)
        assert counted["positives"]["view"] == len(expected)
        assert counted["positives"]["buy"] == sum("buy" in done for done in expected.values())
        assert counted["clusters"] == len({k[0] for k in expected})


def test_prepared_rows_know_the_past_and_nothing_later(unscaled: Prepared) -> None:
    """Counts of rows of every split, recounted: items to the end of the day before, users to the second."""
    rows = sorted(set(ROWS))
    category = {item: c for _, item, c, _, _ in sorted(rows, key=lambda r: -r[4])}
    rng = np.random.default_rng(0)
    for split in SPLITS:
        frame = pl.read_parquet(unscaled.path / f"{split}.parquet").with_columns(
            **columns(unscaled, split, "numeric")
        )
        for row in frame[rng.integers(0, len(frame), 40).tolist()].iter_rows(named=True):
            t0 = row["time"] - 1511539200
            assert row["category"] == category[row["item"]]
            mine = [r for r in rows if r[0] == row["user"] and r[4] < t0]
            before_today = [r for r in rows if r[4] < t0 // at(1) * at(1)]
            groups = {
                "user": mine,
                "user_category": [r for r in mine if category[r[1]] == row["category"]],
                "item": [r for r in before_today if r[1] == row["item"]],
                "category": [r for r in before_today if category[r[1]] == row["category"]],
            }
            for of, group in groups.items():
                for behaviour in ("pv", "cart", "fav", "buy"):
                    expected = np.log1p(sum(r[3] == behaviour for r in group))
                    assert row[f"{of}_{behaviour}"] == pytest.approx(expected), (split, of, behaviour)
            expected = np.log1p(sum(r[1] == row["item"] for r in mine))
            assert row["user_item_events"] == pytest.approx(expected)
            last = max((r[4] for r in mine), default=None)
            assert row["user_seconds_since"] == pytest.approx(
                never(TAOBAO) if last is None else np.log1p(t0 - last)
            )


def test_users_with_the_smallest_hashes_are_sampled(tmp_path: Path) -> None:
    """Among those with an event on a train day; the users of other days never."""
    rows: list[Row] = [(u, u, 1, "pv", at(1 + u % 5)) for u in range(1, 50)]
    rows += [(u, u, 1, "pv", at(0 if u % 2 else 8)) for u in range(50, 90)]
    log = read(tmp_path, rows)
    ids = np.arange(1, 50)
    smallest = sorted(ids[np.argsort(splitmix64(ids))][:10].tolist())
    assert log.users[sample_users(log, 10, SAYS)].tolist() == smallest
    assert log.users[sample_users(log, "all", SAYS)].tolist() == ids.tolist()
    assert log.users[sample_users(log, 1000, SAYS)].tolist() == ids.tolist()


def test_only_users_with_enough_train_events_are_sampled(tmp_path: Path) -> None:
    """Events of other days do not count."""
    rows: list[Row] = [(u, n, 1, "pv", at(1 + n % 5, n)) for u in range(1, 6) for n in range(u)]
    rows += [(1, 7, 1, "pv", at(day)) for day in (0, 6, 7, 8)]
    log = read(tmp_path, rows)
    assert log.users[sample_users(log, "all", SAYS, least_events=3)].tolist() == [3, 4, 5]


def raw(data: Prepared, split: str) -> pl.DataFrame:
    """The Parquet rows with the calendar of each."""
    local = pl.col("time") - 1511539200
    return pl.read_parquet(data.path / f"{split}.parquet").with_columns(
        hour=local // 3600 % 24, weekday=(local // at(1) + 5) % 7
    )


def test_vocabularies_hold_ids_with_five_train_rows(base: Prepared) -> None:
    train = raw(base, "train")
    for name in ("user", "item", "category", "hour", "weekday"):
        kept = sorted(k for k, n in Counter(train[name].to_list()).items() if n >= 5)
        index = {value: FIRST_ID + n for n, value in enumerate(kept)}
        assert base.vocabularies[name] == FIRST_ID + len(kept)
        for split in SPLITS:
            found = columns(base, split, "categorical")[name]
            assert found.tolist() == [index.get(v, OUT_OF_VOCABULARY) for v in raw(base, split)[name]]
    assert (
        base.vocabularies["item"] < FIRST_ID + train["item"].n_unique()
    )  # some are too rare, or this is idle


def test_last_category_and_the_sequence_share_the_categories_indices(base: Prepared) -> None:
    """Recounted from the raw rows: the categories of the user's last twenty events before the exposure."""
    kept = sorted(k for k, n in Counter(raw(base, "train")["category"].to_list()).items() if n >= 5)
    index = {value: FIRST_ID + n for n, value in enumerate(kept)}
    test, order = raw(base, "test"), {"pv": 0, "cart": 1, "fav": 2, "buy": 3}
    category = {item: c for _, item, c, _, _ in sorted(set(ROWS), key=lambda r: -r[4])}
    events = sorted(set(ROWS), key=lambda r: (r[4], r[1], order[r[3]]))
    split = base.open_split("test")
    assert split.group is not None
    sequence = split.sequence[split.group]
    for row in np.random.default_rng(0).integers(0, len(test), 60).tolist():
        user, t0 = test["user"][row], test["time"][row] - 1511539200
        recent = [index.get(category[r[1]], OUT_OF_VOCABULARY) for r in events if r[0] == user and r[4] < t0]
        assert sequence[row].tolist() == ([PADDING] * 20 + recent)[-20:]
    assert columns(base, "test", "categorical")["last_category"].tolist() == sequence[:, -1].tolist()


def test_a_group_is_a_positive_and_its_negatives(base: Prepared) -> None:
    """What the rows of a group share is stored once; the rest is the rows' own."""
    grouped = {f.name for f in base.schema.fields if f.grouped}
    assert {f.of for f in base.schema.fields if f.grouped} == {"user", "time"}
    assert {"user", "hour", "weekday", "last_category", "user_pv", "user_seconds_since"} <= grouped
    for name in SPLITS:
        split, counts = base.open_split(name), base.manifest["splits"][name]
        assert counts["rows"] == 5 * counts["groups"]
        assert split.group is not None
        assert np.array_equal(split.group, np.repeat(np.arange(counts["groups"]), 5))
        assert split.labels[:, 0].reshape(-1, 5).sum(axis=1).tolist() == [1] * counts["groups"]


def test_numeric_fields_are_scaled_by_train(base: Prepared, unscaled: Prepared) -> None:
    train = columns(unscaled, "train", "numeric")
    for split in SPLITS:
        scaled = columns(base, split, "numeric")
        for name, values in columns(unscaled, split, "numeric").items():
            mean, deviation = train[name].mean(dtype=np.float64), train[name].std(dtype=np.float64)
            assert np.allclose(scaled[name], (values - mean) / (deviation or 1), atol=1e-4)
            assert base.manifest["scaling"][name] == pytest.approx([mean, deviation], abs=1e-6)


def test_rows_of_the_matrices_are_rows_of_the_parquet_files(base: Prepared) -> None:
    for split in SPLITS:
        frame = pl.read_parquet(base.path / f"{split}.parquet")
        opened = base.open_split(split)
        assert opened.clusters().tolist() == frame["user"].to_list()
        labels = frame.select("view", "cart", "fav", "buy").to_numpy()
        assert np.array_equal(opened.labels, labels)


def test_small_blocks_give_the_same_matrices(
    base: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtlbench.data.matrix.BLOCK", 97)
    assert prepared(tmp_path, ROWS).fingerprint == base.fingerprint


def test_another_seed_draws_other_negatives_of_the_same_positives(base: Prepared, tmp_path: Path) -> None:
    other = prepared(tmp_path, ROWS, seed=1)
    one, two = (pl.read_parquet(p.path / "train.parquet") for p in (base, other))
    assert not one["item"].equals(two["item"])
    keys = ["user", "item", "time", "cart", "fav", "buy"]
    assert one.filter(view=1).select(keys).sort(keys).equals(two.filter(view=1).select(keys).sort(keys))


@pytest.mark.parametrize(
    ("split", "days", "task", "behaviour"),
    [
        ("validation", VALIDATION, "buy", "buy"),
        ("train", TRAIN, "cart", "cart"),
        ("test", TEST, "fav", "fav"),
    ],
)
def test_a_task_without_positives_in_a_split_is_named(
    tmp_path: Path, split: str, days: range, task: str, behaviour: str
) -> None:
    rows = [r for r in ROWS if r[3] != behaviour or r[4] // at(1) not in days]
    with pytest.raises(DataError, match=rf"the {split} split is positive for task {task},.*--users N"):
        prepared(tmp_path, rows)


def test_a_log_without_train_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No user has an event on train days"):
        prepared(tmp_path, [r for r in ROWS if r[4] // at(1) not in TRAIN])


def test_a_full_disk_is_noticed_before_the_long_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtlbench.data.userbehavior.build.PARQUET_BYTES", 10**15)
    (tmp_path / "work").mkdir()
    with pytest.raises(OSError, match="rows need about"):
        build(
            read_log(write_log(tmp_path / "log.csv", ROWS), TAOBAO, tmp_path / "work", SAYS),
            users="all",
            negatives=4,
            seed=0,
            work=tmp_path / "work",
            out=tmp_path,
            says=SAYS,
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.csv", "work"]


def test_what_it_takes_on_disk_is_said_beforehand_and_true(tmp_path: Path) -> None:
    """To the byte for the matrices; Parquet is an upper estimate."""
    said: list[str] = []
    log = write_log(tmp_path / "log.csv", ROWS)
    data = prepare(Home(tmp_path), "taobao", source=[log], options={"users": 12}, report=said.append)
    assert said[0] == "Reading log.csv, 0 MB; about 0 MB on disk meanwhile."
    total = 0
    for split in SPLITS:
        counts = data.manifest["splits"][split]
        total += counts["rows"]
        written = sum(file.stat().st_size - 128 for file in (data.path / split).iterdir())  # 128: a header
        assert written == size_bytes(data.schema, counts["rows"], counts["groups"])
    assert any(line.startswith(f"{total:,} rows: ") and line.endswith("MB when done.") for line in said)
