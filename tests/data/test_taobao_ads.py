"""Taobao's ads: a row's features know earlier days alone, and labels close at midnight."""

import math
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.taobao_ads.past import ENTITIES, SMOOTHING, Past
from mtlbench.data.taobao_ads.tables import COLUMNS, DAY, DAYS, PROFILE, START
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from tests.data.tables import DRESSES, attempt, contents, csv, lines_in, prepared, rows, table, write_files

Row = list[object]
USERS, ADS = range(1, 61), range(500, 530)
HEADERS = {kind: ",".join(columns) for kind, columns in COLUMNS.items()}
fuzzing = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def at(day: int, hour: float = 0) -> int:
    return START + day * DAY + int(hour * 3600)


def random_impressions(seed: int, days: range = range(DAYS), each: int = 150) -> list[Row]:
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for day in days:
        for _ in range(each):
            click = int(rng.random() < 0.3)
            time = at(day) + int(rng.integers(DAY))
            pid = f"430{rng.integers(2)}_1007"
            made.append([int(rng.choice(USERS)), time, int(rng.choice(ADS)), pid, 1 - click, click])
    return made


def random_log(seed: int, count: int = 4000) -> list[Row]:
    rng = np.random.default_rng(seed)
    tags = rng.choice(["pv", "cart", "fav", "buy"], count, p=[0.3, 0.1, 0.1, 0.5])
    return [
        [
            int(rng.choice(USERS)),
            at(0) + int(rng.integers(-5 * DAY, DAYS * DAY)),
            tag,
            int(rng.integers(4)),
            int(rng.integers(2)),
        ]
        for tag in tags
    ]


RAW, LOG = random_impressions(1), random_log(2)
AD_ROWS: list[Row] = [[ad, ad % 4, ad % 7, ad % 5, ad % 2 if ad % 5 else "NULL", ad % 11 + 0.5] for ad in ADS]
PROFILE_ROWS: list[Row] = [
    [u, *((u + n) % 3 if (u + n) % 4 else None for n in range(len(PROFILE)))] for u in USERS[:-5]
]


def files(raw: list[Row] = RAW, log: list[Row] | None = None) -> dict[str, bytes]:
    made = {
        "raw_sample.csv": csv(HEADERS["raw_sample"], raw),
        "ad_feature.csv": csv(HEADERS["ad_feature"], AD_ROWS),
        "user_profile.csv": csv(HEADERS["user_profile"] + " ", PROFILE_ROWS),
    }
    return made if log is None else made | {"behavior_log.csv": csv(HEADERS["behavior_log"], log)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("base"), "taobao-ads", files(log=LOG))


def everything(data: Prepared) -> pl.DataFrame:
    return pl.concat([table(data, split) for split in SPLITS])


def test_splits_are_days_of_china_time(base: Prepared) -> None:
    days = {split: sorted(set(table(base, split)["time"] // DAY)) for split in SPLITS}
    assert days == {"train": [0, 1, 2, 3, 4, 5], "validation": [6], "test": [7]}
    assert START == 1493942400 + 16 * 3600  # midnight of 5 May in UTC, and 16 hours
    assert rows(base) == len(RAW)


def test_the_windows_first_and_last_second_count(tmp_path: Path) -> None:
    edge = [
        [1, second, 500, "a", 1, 0]
        for second in (START - 1, START, START + DAYS * DAY - 1, START + DAYS * DAY)
    ]
    data = prepared(tmp_path, "taobao-ads", files(RAW + edge))
    assert data.manifest["quirks"]["rows_outside_window"] == 2
    assert rows(data) == len(RAW) + 2


def test_a_buy_counts_from_the_impression_to_midnight(base: Prepared) -> None:
    """Against a slow reading of the log; not defined on ads without a brand."""
    ads = {row[0]: (row[1], row[4]) for row in AD_ROWS}
    buys = [(row[0], row[3], row[4], int(str(row[1])) - START) for row in LOG if row[2] == "buy"]
    defined = 0
    for row in everything(base).to_dicts():
        cate, brand = ads[row["adgroup"]]
        if brand == "NULL":
            assert row["buy"] is None
            continue
        defined += 1
        end = (row["time"] // DAY + 1) * DAY
        bought = any(
            (u, c, b) == (row["user"], cate, brand) and row["time"] <= t < end for u, c, b, t in buys
        )
        assert row["buy"] == int(bought)
    assert defined > 500


def slow_past(raw: list[Row], row: dict[str, object]) -> dict[str, float | None]:
    """The past of one row, counted one impression at a time."""
    cate = {int(str(ad[0])): ad[1] for ad in AD_ROWS}
    day = int(str(row["time"])) // DAY
    earlier = [r for r in raw if (int(str(r[1])) - START) // DAY < day]
    overall = sum(int(str(r[5])) for r in earlier) / len(earlier) if earlier else 0.0
    found: dict[str, float | None] = {}
    for entity in ENTITIES:
        own = [
            r
            for r in earlier
            if {"user": r[0], "adgroup": r[2], "cate": cate[int(str(r[2]))]}[entity] == row[entity]
        ]
        clicks = sum(int(str(r[5])) for r in own)
        found[f"{entity}_shown"] = math.log1p(len(own) / max(day, 1))
        found[f"{entity}_clicked"] = math.log1p(clicks / max(day, 1))
        found[f"{entity}_rate"] = (clicks + SMOOTHING * overall) / (len(own) + SMOOTHING) if own else None
    return found


def test_features_of_the_past_are_those_of_a_slow_count(base: Prepared) -> None:
    for row in everything(base).sample(150, seed=3).to_dicts():
        for name, value in slow_past(RAW, row).items():
            assert row[name] == (None if value is None else pytest.approx(value)), name


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)), max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_the_past_is_strictly_earlier_days(days: list[list[tuple[int, int, int]]]) -> None:
    """Counts before a day are sums over the lists before it, for any impressions."""
    past = Past()
    for day, shown in enumerate(days):
        columns = list(zip(*shown, strict=True)) or [(), (), ()]
        frame = pl.LazyFrame(
            {"user": columns[0], "adgroup": columns[1], "cate": columns[1], "clk": columns[2]},
            schema=dict.fromkeys(("user", "adgroup", "cate", "clk"), pl.Int64),
        )
        made = past.features(frame, day).collect()
        before = [impression for earlier in days[:day] for impression in earlier]
        for (user, _, _), row in zip(shown, made.to_dicts(), strict=True):
            own = [click for u, _, click in before if u == user]
            assert row["user_shown"] == pytest.approx(math.log1p(len(own) / max(day, 1)))
            assert row["user_clicked"] == pytest.approx(math.log1p(sum(own) / max(day, 1)))
            assert (row["user_rate"] is None) == (not own)
        past.close(frame)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_no_test_day_row_changes_train_or_validation(base: Prepared, tmp_path: Path, seed: int) -> None:
    """Neither an impression of the test day nor what was bought on it."""
    before = [row for row in RAW if int(str(row[1])) < at(7)]
    log = [row for row in LOG if int(str(row[1])) < at(7)]
    later = [[row[0], at(7) + int(str(row[1])) % DAY, *row[2:]] for row in random_log(seed, 800)]
    others = random_impressions(seed, range(7, 8), each=100 + seed % 50)
    changed = prepared(tmp_path, "taobao-ads", files(before + others, log + later))
    assert contents(changed, "train", "validation") == contents(base, "train", "validation")
    assert changed.fingerprint != base.fingerprint


def test_no_validation_day_row_changes_train(base: Prepared, tmp_path: Path) -> None:
    others = [row for row in RAW if (int(str(row[1])) - START) // DAY != 6] + random_impressions(
        9, range(6, 7)
    )
    changed = prepared(tmp_path, "taobao-ads", files(others, LOG))
    assert contents(changed, "train") == contents(base, "train")


def test_the_order_of_the_lines_does_not_matter(base: Prepared, tmp_path: Path) -> None:
    assert prepared(tmp_path, "taobao-ads", files(RAW[::-1], LOG[::-1])).fingerprint == base.fingerprint


def test_without_a_log_there_is_one_task(tmp_path: Path) -> None:
    data = prepared(tmp_path, "taobao-ads", files())
    assert data.schema.task_names == ("ctr",)
    with pytest.raises(DataError, match=r"Missing: behavior_log\.csv"):
        prepared(tmp_path, "taobao-ads", files(), log=True)


def test_sampled_users_are_of_train_days_and_counts_are_of_all_users(base: Prepared, tmp_path: Path) -> None:
    data = prepared(tmp_path, "taobao-ads", files(log=LOG), users=40)
    users = set(table(data, "train")["user"])
    assert len(users) == 40
    assert rows(data) == len(RAW) - data.manifest["quirks"]["rows_of_other_users"]
    same = everything(base).filter(pl.col("user").is_in(list(users)))
    assert everything(data).equals(same)


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    odd: list[Row] = [*RAW, RAW[0], RAW[0], [1, at(2), 99_999, None, 1, 0]]
    more = files(odd)
    more["ad_feature.csv"] += b"500,3,3,3,1,99.0\n"
    data = prepared(tmp_path, "taobao-ads", more)
    quirks = data.manifest["quirks"]
    assert quirks["duplicate_rows"] == 2
    assert quirks["ad_feature_repeated_rows"] == 1
    assert quirks["rows_without_ad"] == 1
    assert quirks["rows_without_profile"] == sum(row[0] not in USERS[:-5] for row in odd) - 2 * (
        RAW[0][0] in USERS[-5:]
    )
    assert rows(data) == len(odd) - 2
    assert table(data, "train").filter(pl.col("adgroup") == 500)["cate"].unique().to_list() == [0]


def test_an_ad_without_a_category_is_kept_without_its_past(tmp_path: Path) -> None:
    more = files(log=LOG)
    more["ad_feature.csv"] = csv(
        HEADERS["ad_feature"], [[ad[0], None, *ad[2:]] if ad[0] == 501 else ad for ad in AD_ROWS]
    )
    data = prepared(tmp_path, "taobao-ads", more)
    of_it = everything(data).filter(pl.col("adgroup") == 501)
    assert len(of_it) == sum(row[2] == 501 for row in RAW)
    assert of_it.select("cate", "cate_rate", "buy").null_count().row(0) == (len(of_it),) * 3
    assert set(of_it["cate_shown"]) == {0.0}


def test_contradicting_click_columns_are_damage(tmp_path: Path) -> None:
    many = random_impressions(4, each=200)
    data = prepared(tmp_path, "taobao-ads", files([[1, at(1), 500, "a", 1, 1], *many]))
    assert data.manifest["malformed_lines"]["raw_sample"] == [2]
    assert rows(data) == len(many)


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_files_in_another_dress_are_the_same(base: Prepared, tmp_path: Path, dress: str) -> None:
    dressed = {name: DRESSES[dress](text) for name, text in files(log=LOG).items()}
    assert prepared(tmp_path, "taobao-ads", dressed).fingerprint == base.fingerprint


def test_the_header_without_its_trailing_blank_is_read_too(base: Prepared, tmp_path: Path) -> None:
    plain = {name: text.replace(b"_level \n", b"_level\n") for name, text in files(log=LOG).items()}
    assert plain != files(log=LOG)
    assert prepared(tmp_path, "taobao-ads", plain).fingerprint == base.fingerprint


def test_the_published_archives_in_the_raw_folder_are_found(home: Home, tmp_path: Path) -> None:
    """The log is passed over unless it is asked for."""
    archives = {}
    for name, text in files(log=LOG).items():
        stream = BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, BytesIO(text))
        archives[f"{name}.tar.gz"] = stream.getvalue()
    write_files(home.raw("taobao-ads"), archives)
    assert prepare(home, "taobao-ads").schema.task_names == ("ctr",)
    assert prepare(home, "taobao-ads", options={"log": "true"}, name="two").schema.task_names == (
        "ctr",
        "buy",
    )


@pytest.mark.parametrize("name", ["raw_sample.csv", "ad_feature.csv", "user_profile.csv"])
def test_a_missing_or_double_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"Missing: {name}.*mtlbench prepare taobao-ads"):
        prepared(tmp_path / "one", "taobao-ads", {k: v for k, v in files().items() if k != name})
    with pytest.raises(DataError, match=r"give one: mtlbench prepare taobao-ads"):
        prepared(tmp_path / "two", "taobao-ads", files() | {"again.csv": files()[name]})


def test_a_table_that_cannot_be_recognised_is_not_passed_over(tmp_path: Path) -> None:
    damaged = files(log=LOG)["behavior_log.csv"].replace(b"user", b"usr", 1)
    with pytest.raises(
        DataError, match=r"behavior_log\.csv is none of raw_sample.*first line is 'usr,time_stamp"
    ):
        prepared(tmp_path, "taobao-ads", files() | {"behavior_log.csv": damaged, "README.md": b"hello"})


def test_a_log_of_other_days_is_an_error_that_says_which(tmp_path: Path) -> None:
    other = [[row[0], int(str(row[1])) + 10**8, *row[2:]] for row in RAW]
    with pytest.raises(DataError, match=r"no row lies within 2017-05-06 .. 2017-05-13"):
        prepared(tmp_path, "taobao-ads", files(other))


@fuzzing
@given(
    name=st.sampled_from(["raw_sample.csv", "ad_feature.csv", "user_profile.csv", "behavior_log.csv"]),
    damage=st.binary(max_size=30) | st.sampled_from([b",", b"\n", b'"', b"NULL", b"-", b"9" * 19]),
    at_byte=st.integers(0, 3000),
    length=st.integers(0, 30),
)
def test_any_bytes_give_a_plain_error_or_every_row(
    tmp_path: Path, name: str, damage: bytes, at_byte: int, length: int
) -> None:
    many = files(random_impressions(5, each=200), random_log(6))
    text = many[name][:at_byte] + damage + many[name][at_byte + length :]
    data = attempt(lambda: prepared(tmp_path, "taobao-ads", many | {name: text}))
    if data is None:
        return
    quirks = data.manifest["quirks"]
    for kind in COLUMNS:
        assert quirks[f"{kind}_rows"] == lines_in((many | {name: text})[f"{kind}.csv"])
    dropped = ("raw_sample_malformed_rows", "rows_outside_window", "duplicate_rows", "rows_of_other_users")
    assert rows(data) == quirks["raw_sample_rows"] - sum(quirks[q] for q in dropped)
