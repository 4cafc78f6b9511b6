"""Ali-CCP: both forms give the exposures that a slow reading gives, and test rows have no say in train."""

import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.ali_ccp.recipe import form_of
from mtlbench.data.ali_ccp.skeleton import ITEM, ITEM_MANY, USER, USER_HISTORY, WEIGHTED, WEIGHTED_MANY
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from mtlbench.schema import OUT_OF_VOCABULARY, PADDING
from tests.data.tables import DRESSES, attempt, contents, csv, lines_in, prepared, rows, table, write_files

Feature = tuple[str, int, float]
AITM = (*USER, "205", "206", "207", "216", "508", "509", "702", "853", "301")
TRAIN, TEST = range(100, 140), range(130, 150)  # ten users are in both
fuzzing = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def packed(features: list[Feature]) -> str:
    return "\x01".join(f"{code}\x02{feature}\x03{value}" for code, feature, value in features)


def common_line(rng: np.random.Generator, user: int) -> str:
    features: list[Feature] = [("101", user, 1.0)]
    features += [(code, int(rng.integers(3)), 1.0) for code in USER[1:] if rng.random() < 0.9]
    features += [
        (code, int(rng.integers(8)), float(rng.integers(1, 4)))
        for code in USER_HISTORY
        for _ in range(rng.integers(0, 6))
    ]
    rng.shuffle(features)
    return f"idx{user},{len(features)},{packed(features)}"


def skeleton_line(rng: np.random.Generator, number: int, user: int) -> str:
    features: list[Feature] = [(code, int(rng.integers(6)), 1.0) for code in ITEM if rng.random() < 0.8]
    features += [
        (code, int(rng.integers(5)), round(float(rng.random()), 3))
        for code in ITEM_MANY
        for _ in range(rng.integers(4))
    ]
    features = features or [("301", 1, 1.0)]
    click = int(rng.random() < 0.4)
    buy = int(rng.random() < (0.5 if click else 0.02))
    return f"{number},{click},{buy},idx{user},{len(features)},{packed(features)}"


def raw(part: str, users: range, seed: int, each: int = 8) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    common = [common_line(rng, user) for user in users]
    skeleton = [skeleton_line(rng, n, int(rng.choice(users))) for n in range(each * len(users))]
    return {
        f"common_features_{part}.csv": ("\n".join(common) + "\n").encode(),
        f"sample_skeleton_{part}.csv": ("\n".join(skeleton) + "\n").encode(),
    }


def encoded(users: range, seed: int, each: int = 8) -> bytes:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(each * len(users)):
        click = int(rng.random() < 0.4)
        buy = int(rng.random() < (0.5 if click else 0.02))
        made.append([click, buy, int(rng.choice(users)), *rng.integers(0, 5, len(AITM) - 1)])
    return csv("click,purchase," + ",".join(AITM), made)


FILES = raw("train", TRAIN, 1) | raw("test", TEST, 2)
TABLES = {"ctr_cvr.train": encoded(TRAIN, 3), "ctr_cvr.test": encoded(TEST, 4)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("base"), "ali-ccp", FILES, values=3)


@pytest.fixture(scope="module")
def aitm(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("aitm"), "ali-ccp", TABLES)


def slowly(files: dict[str, bytes], part: str, most: int) -> list[dict[str, object]]:
    """The exposures of a part, read in plain Python."""

    def features(text: str) -> dict[str, list[tuple[float, int]]]:
        found: dict[str, list[tuple[float, int]]] = {}
        for entry in text.split("\x01"):
            code, _, rest = entry.partition("\x02")
            feature, _, value = rest.partition("\x03")
            found.setdefault(code, []).append((float(value), int(feature)))
        return found

    common = {}
    for line in files[f"common_features_{part}.csv"].decode().split():
        index, _, text = line.split(",")
        common[index] = features(text)
    made = []
    for line in files[f"sample_skeleton_{part}.csv"].decode().split():
        number, click, buy, index, _, text = line.split(",")
        if (click, buy) == ("0", "1"):
            continue
        own, user = features(text), common[index]
        row: dict[str, object] = {"exposure": int(number), "ctr": int(click), "ctcvr": int(click) * int(buy)}
        row |= {"cvr": int(buy) if click == "1" else None, "user": user["101"][0][1]}
        row |= {code: user[code][0][1] if code in user else None for code in USER}
        row |= {code: own[code][0][1] if code in own else None for code in ITEM}
        row |= {code: [f for _, f in sorted(user.get(code, []))][-most:] for code in USER_HISTORY}
        row |= {code: [f for _, f in sorted(own.get(code, []))][-most:] for code in ITEM_MANY}
        row |= {f"weight_{code}": own[code][0][0] if code in own else 0.0 for code in WEIGHTED}
        row |= {f"weight_{code}": max(own[code])[0] if code in own else 0.0 for code in WEIGHTED_MANY}
        made.append(row)
    return made


def test_the_raw_form_is_read_as_a_slow_reading_reads_it(base: Prepared) -> None:
    test = table(base, "test")
    slow = slowly(FILES, "test", most=3)
    assert test.select(slow[0].keys()).to_dicts() == slow
    train = {row["exposure"]: row for split in SPLITS[:2] for row in table(base, split).to_dicts()}
    for row in slowly(FILES, "train", most=3):
        assert {name: train[row["exposure"]][name] for name in row} == row
    assert len(train) == len(slowly(FILES, "train", most=3))


def test_validation_is_whole_users_of_train(base: Prepared, aitm: Prepared) -> None:
    for data in (base, aitm):
        users = {split: set(table(data, split)["user"]) for split in SPLITS}
        assert not users["train"] & users["validation"]
        assert users["validation"]
        assert users["test"] <= set(TEST)


def test_cvr_is_defined_on_clicks_alone(base: Prepared, aitm: Prepared) -> None:
    for data in (base, aitm):
        ctr, cvr, ctcvr = data.open_split("test").labels.T
        assert (np.isnan(cvr) == (ctr == 0)).all()
        assert (ctcvr == np.where(ctr == 1, cvr, 0)).all()


def test_a_purchase_without_a_click_is_counted_and_dropped(base: Prepared, aitm: Prepared) -> None:
    noise = FILES["sample_skeleton_test.csv"].count(b",0,1,idx")
    assert noise > 0
    assert base.manifest["quirks"]["test_purchases_without_click"] == noise
    for data in (base, aitm):
        quirks = data.manifest["quirks"]
        lost = quirks["train_purchases_without_click"] + quirks["test_purchases_without_click"]
        assert rows(data) == quirks["train_rows"] + quirks["test_rows"] - lost


def test_sampled_users_are_those_with_the_smallest_hashes_in_train_and_test(tmp_path: Path) -> None:
    data = prepared(tmp_path, "ali-ccp", FILES, users=25)
    learnt = set(table(data, "train")["user"]) | set(table(data, "validation")["user"])
    assert len(learnt) == 25
    test = set(table(data, "test")["user"])
    assert test & set(TRAIN) == learnt & set(TEST)
    quirks = data.manifest["quirks"]
    lost = sum(
        quirks[f"{s}_{q}"]
        for s in ("train", "test")
        for q in ("rows_of_other_users", "purchases_without_click")
    )
    assert rows(data) == quirks["train_rows"] + quirks["test_rows"] - lost
    everyone = prepared(tmp_path, "ali-ccp", FILES, users="all")
    assert len(set(table(everyone, "train")["user"]) | set(table(everyone, "validation")["user"])) == len(
        TRAIN
    )


def test_zero_is_absent_in_an_encoded_table_and_a_row_without_user_is_a_cluster(tmp_path: Path) -> None:
    lines = TABLES["ctr_cvr.test"].split(b"\n")
    lines[1:3] = [b"0,0,0" + b",0" * 17, b"0,0,0" + b",1" * 17]
    data = prepared(tmp_path, "ali-ccp", TABLES | {"ctr_cvr.test": b"\n".join(lines)})
    test = data.open_split("test")
    assert (test.categorical[0] == PADDING).all()
    assert test.cluster[:2].tolist() == [-2, -3]
    assert data.manifest["quirks"]["test_rows_without_user"] == 2


def test_an_id_that_only_test_knows_is_out_of_vocabulary(tmp_path: Path) -> None:
    strange = FILES["sample_skeleton_test.csv"].replace(b"205\x02", b"205\x02777")
    data = prepared(tmp_path, "ali-ccp", FILES | {"sample_skeleton_test.csv": strange})
    at = [f.name for f in data.schema.of_kind("categorical")].index("205")
    codes = data.open_split("test").categorical[:, at]
    assert set(codes.tolist()) == {PADDING, OUT_OF_VOCABULARY}


@pytest.mark.parametrize("changed", [raw("test", range(120, 160), 9), raw("test", range(500, 510), 10)])
def test_no_test_row_changes_train_or_validation(
    base: Prepared, tmp_path: Path, changed: dict[str, bytes]
) -> None:
    data = prepared(tmp_path, "ali-ccp", FILES | changed, values=3)
    assert contents(data, "train", "validation") == contents(base, "train", "validation")
    assert data.fingerprint != base.fingerprint


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_no_encoded_test_row_changes_train_or_validation(aitm: Prepared, tmp_path: Path, seed: int) -> None:
    data = prepared(tmp_path, "ali-ccp", TABLES | {"ctr_cvr.test": encoded(range(120, 160), seed)})
    assert contents(data, "train", "validation") == contents(aitm, "train", "validation")
    assert data.fingerprint != aitm.fingerprint


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_files_in_another_dress_are_the_same(
    base: Prepared, aitm: Prepared, tmp_path: Path, dress: str
) -> None:
    def dressed(files: dict[str, bytes]) -> dict[str, bytes]:
        return {name: DRESSES[dress](text) for name, text in files.items()}

    assert prepared(tmp_path / "raw", "ali-ccp", dressed(FILES), values=3).fingerprint == base.fingerprint
    assert prepared(tmp_path / "aitm", "ali-ccp", dressed(TABLES)).fingerprint == aitm.fingerprint


def test_the_published_archives_are_read_like_their_files(base: Prepared, tmp_path: Path) -> None:
    archives = {}
    for part in ("train", "test"):
        stream = BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name in (f"sample_skeleton_{part}.csv", f"common_features_{part}.csv"):
                member = tarfile.TarInfo(name)
                member.size = len(FILES[name])
                archive.addfile(member, BytesIO(FILES[name]))
        archives[f"sample_{part}.tar.gz"] = stream.getvalue()
    assert prepared(tmp_path, "ali-ccp", archives, values=3).fingerprint == base.fingerprint
    home = Home(tmp_path / "other")
    write_files(home.raw("ali-ccp"), archives | TABLES)
    assert prepare(home, "ali-ccp", options={"values": 3}).fingerprint == base.fingerprint


def test_a_validation_part_is_taken_as_it_is(tmp_path: Path) -> None:
    files = TABLES | {"ctr_cvr.dev": encoded(range(200, 210), 5)}
    data = prepared(tmp_path, "ali-ccp", files)
    assert set(table(data, "train")["user"]) == set(TRAIN)
    assert set(table(data, "validation")["user"]) <= set(range(200, 210))


def test_other_tables_columns_are_used_where_they_are_known(tmp_path: Path) -> None:
    """torch-rechub's table has numbers `D...`; the index column that pandas adds is passed over."""

    def widened(text: bytes) -> bytes:
        head, *body = text.decode().split()
        return "\n".join(
            [f",{head},D508", *(f"{n},{line},0.{n % 7}" for n, line in enumerate(body))]
        ).encode()

    data = prepared(tmp_path, "ali-ccp", {name: widened(text) for name, text in TABLES.items()})
    assert [f.name for f in data.schema.of_kind("numeric")] == ["D508"]
    assert table(data, "test")["D508"][:3].to_list() == [0.0, 0.1, 0.2]


@pytest.mark.parametrize(
    "change",
    [
        lambda files: {k: v for k, v in files.items() if "test" not in k},
        lambda files: {k: v for k, v in files.items() if "common_features_train" not in k},
        lambda files: files | {"other_train_skeleton.csv": files["sample_skeleton_train.csv"]},
        lambda files: files | {"sample_skeleton_test.csv": b"hello\n"},
        lambda files: TABLES | {"ctr_cvr.dev": b"clack,purchase,101\n1,1,1\n"},
        lambda files: {"readme.md": b"nothing here"},
    ],
)
def test_what_is_missing_or_double_is_said(
    tmp_path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> None:
    with pytest.raises(DataError, match=r"mtlbench prepare ali-ccp --source FILE"):
        prepared(tmp_path, "ali-ccp", change(FILES))


def test_odd_common_features_are_counted(tmp_path: Path) -> None:
    """An index that is missing leaves the user's fields empty; one that stands twice does not double rows."""
    first, *others = FILES["common_features_test.csv"].decode().splitlines()
    index = first.split(",")[0].encode()
    missing = FILES["sample_skeleton_test.csv"].count(index + b",")
    assert missing > 0
    text = "\n".join([others[0], *others]).encode()
    data = prepared(tmp_path, "ali-ccp", FILES | {"common_features_test.csv": text}, values=3)
    quirks = data.manifest["quirks"]
    assert quirks["test_rows_without_common_features"] == missing
    assert quirks["test_common_rows_repeated"] == 1
    assert rows(data) == quirks["train_rows"] + quirks["test_rows"] - sum(
        quirks[f"{s}_purchases_without_click"] for s in ("train", "test")
    )
    test = data.open_split("test")
    assert (test.cluster < 0).sum() > 0
    assert (test.categorical[test.cluster < 0][:, : len(USER)] == PADDING).all()


def test_forms_are_told_apart_by_content(tmp_path: Path) -> None:
    folder = write_files(tmp_path, FILES | TABLES | {"notes.txt": b"a,b,c\n", "empty": b""})
    forms = {path.name: form_of(path) for path in folder.iterdir()}
    assert forms == {
        "common_features_train.csv": "common",
        "common_features_test.csv": "common",
        "sample_skeleton_train.csv": "skeleton",
        "sample_skeleton_test.csv": "skeleton",
        "ctr_cvr.train": "table",
        "ctr_cvr.test": "table",
        "notes.txt": None,
        "empty": None,
    }


def test_the_table_in_the_raw_folder_is_found(aitm: Prepared, home: Home) -> None:
    write_files(home.raw("ali-ccp"), TABLES)
    assert prepare(home, "ali-ccp").fingerprint == aitm.fingerprint


@fuzzing
@given(
    name=st.sampled_from(["sample_skeleton_train.csv", "common_features_train.csv"]),
    damage=st.binary(max_size=40) | st.sampled_from([b"\x01", b"\x02", b"\x03", b",", b"\n", b"\x01\x01"]),
    at=st.integers(0, 20_000),
    length=st.integers(0, 40),
)
def test_any_bytes_give_a_plain_error_or_every_row(
    tmp_path: Path, name: str, damage: bytes, at: int, length: int
) -> None:
    many = raw("train", range(100, 1200), 6, each=1)
    text = many[name][:at] + damage + many[name][at + length :]
    data = attempt(lambda: prepared(tmp_path, "ali-ccp", FILES | many | {name: text}))
    if data is None:
        return
    quirks = data.manifest["quirks"]
    skeleton = (many | {name: text})["sample_skeleton_train.csv"]
    assert quirks["train_rows"] == lines_in(skeleton, header=False)
    dropped = sum(
        quirks[f"train_{q}"] for q in ("malformed_rows", "rows_of_other_users", "purchases_without_click")
    )
    assert sum(data.manifest["splits"][s]["rows"] for s in SPLITS[:2]) == quirks["train_rows"] - dropped


@fuzzing
@given(damage=st.binary(max_size=40), at=st.integers(0, 20_000), length=st.integers(0, 40))
def test_any_bytes_in_a_table_give_a_plain_error_or_every_row(
    tmp_path: Path, damage: bytes, at: int, length: int
) -> None:
    many = encoded(range(100, 300), 7)
    text = many[:at] + damage + many[at + length :]
    data = attempt(lambda: prepared(tmp_path, "ali-ccp", TABLES | {"ctr_cvr.train": text}))
    if data is None:
        return
    quirks = data.manifest["quirks"]
    assert quirks["train_rows"] == lines_in(text)
    dropped = sum(
        quirks[f"train_{q}"] for q in ("malformed_rows", "rows_of_other_users", "purchases_without_click")
    )
    assert sum(data.manifest["splits"][s]["rows"] for s in SPLITS[:2]) == quirks["train_rows"] - dropped
