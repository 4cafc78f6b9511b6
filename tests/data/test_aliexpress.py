"""AliExpress: the authors' files become splits, and test rows have no say in train."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.aliexpress import CATEGORICAL, COLUMNS, NUMERICAL, train_and_test
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING
from tests.data.tables import DRESSES, attempt, contents, csv, lines_in, prepared, rows, table, write_files

HEADER = ",".join(COLUMNS)
Row = list[object]
fuzzing = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def random_rows(seed: int, searches: range, each: int = 6) -> list[Row]:
    """Products shown in searches; every label occurs, codes are few, some fields are empty."""
    rng = np.random.default_rng(seed)
    made: list[Row] = []
    for search in searches:
        for _ in range(each):
            click = int(rng.random() < 0.4)
            categorical = [
                int(c) if rng.random() < 0.95 else None for c in rng.integers(0, 8, len(CATEGORICAL))
            ]
            numerical = [
                round(float(x), 4) if rng.random() < 0.9 else None for x in rng.random(len(NUMERICAL))
            ]
            made.append([search, *categorical, *numerical, click, int(click and rng.random() < 0.4)])
    return made


TRAIN, TEST = random_rows(1, range(100, 160)), random_rows(2, range(200, 220))


def files(train: list[Row] = TRAIN, test: list[Row] = TEST) -> dict[str, bytes]:
    return {"train.csv": csv(HEADER, train), "test.csv": csv(HEADER, test)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("base"), "aliexpress-nl", files())


def test_the_authors_test_file_is_test_and_validation_is_whole_searches_of_train(base: Prepared) -> None:
    searches = {split: set(table(base, split)["search_id"]) for split in SPLITS}
    assert searches["train"] | searches["validation"] == {row[0] for row in TRAIN}
    assert searches["train"] & searches["validation"] == set()
    assert searches["test"] == {row[0] for row in TEST}
    assert 1 <= len(searches["validation"]) <= 15  # of 60, a tenth by hash
    assert rows(base) == len(TRAIN) + len(TEST)


def test_rows_keep_their_order_and_their_labels(base: Prepared) -> None:
    test = table(base, "test")
    assert test["search_id"].to_list() == [row[0] for row in TEST]
    assert test["ctr"].to_list() == [row[-2] for row in TEST]
    assert test["ctcvr"].to_list() == [row[-1] for row in TEST]
    assert base.open_split("test").cluster.tolist() == [row[0] for row in TEST]


def test_vocabularies_hold_what_train_holds(tmp_path: Path) -> None:
    """A code that only the test file has is out of vocabulary there and widens nothing."""
    strange = [row.copy() for row in TEST]
    strange[0][1], strange[1][1] = 10**12, None
    data = prepared(tmp_path, "aliexpress-nl", files(test=strange))
    codes = data.open_split("test").categorical[:, 0]
    assert codes[0] == OUT_OF_VOCABULARY
    assert codes[1] == PADDING
    assert data.vocabularies["categorical_1"] == FIRST_ID + 8
    assert all(codes < data.vocabularies["categorical_1"])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_no_test_row_changes_train_or_validation(base: Prepared, tmp_path: Path, seed: int) -> None:
    other = random_rows(seed, range(200, 200 + 10 + seed % 20))
    changed = prepared(tmp_path, "aliexpress-nl", files(test=other))
    assert contents(changed, "train", "validation") == contents(base, "train", "validation")
    assert changed.fingerprint != base.fingerprint


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_table_in_another_dress_is_the_same(base: Prepared, tmp_path: Path, dress: str) -> None:
    dressed = {name: DRESSES[dress](text) for name, text in files().items()}
    assert prepared(tmp_path, "aliexpress-nl", dressed).fingerprint == base.fingerprint


def test_columns_may_stand_in_any_order(base: Prepared, tmp_path: Path) -> None:
    turned = {
        "train.csv": csv(",".join(reversed(COLUMNS)), [row[::-1] for row in TRAIN]),
        "test.csv": csv(HEADER, TEST),
    }
    assert prepared(tmp_path, "aliexpress-nl", turned).fingerprint == base.fingerprint


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    """Missing labels are dropped, a purchase without a click and a search in both files are kept."""
    odd = [row.copy() for row in TRAIN]
    odd[0][-2:], odd[1][-2:], odd[2][-2:] = ["NaN", 0], [0, None], [0, 1]
    test = [row.copy() for row in TEST]
    test[0][0] = TRAIN[0][0]
    data = prepared(tmp_path, "aliexpress-nl", files(odd, test))
    quirks = data.manifest["quirks"]
    assert quirks["train_rows_without_label"] == 2
    assert quirks["train_conversions_without_click"] == 1
    assert quirks["searches_in_train_and_test"] == 1
    assert rows(data) == quirks["train_rows"] - 2 + quirks["test_rows"]


def test_a_damaged_line_is_dropped_and_its_number_kept(tmp_path: Path) -> None:
    many = random_rows(3, range(100, 300))
    text = csv(HEADER, many).replace(b"\n", b"\n1,2,3\n", 1)
    data = prepared(tmp_path, "aliexpress-nl", {"train.csv": text, "test.csv": csv(HEADER, TEST)})
    assert data.manifest["train_malformed_lines"] == [2]
    assert data.manifest["quirks"]["train_malformed_rows"] == 1
    assert rows(data) == len(many) + len(TEST)


def test_the_archive_is_read_like_its_files(base: Prepared, tmp_path: Path) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files().items():
            archive.writestr(f"AliExpress_NL/{name}", text)
    data = prepared(tmp_path, "aliexpress-nl", {"AliExpress_NL.zip": packed.getvalue()})
    assert data.fingerprint == base.fingerprint


def test_files_in_the_raw_folder_are_found(base: Prepared, home: Home) -> None:
    write_files(home.raw("aliexpress-nl"), files())
    assert prepare(home, "aliexpress-nl").fingerprint == base.fingerprint


def test_what_to_do_by_hand_is_said(home: Home) -> None:
    with pytest.raises(
        DataError, match=r"(?s)AliExpress_ES\.zip.*drive\.google\.com.*prepare aliexpress-es --source"
    ):
        prepare(home, "aliexpress-es")


def test_another_countrys_file_is_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "AliExpress_FR", files())
    with pytest.raises(DataError, match=r"AliExpress_FR, wanted: AliExpress_US.*aliexpress-fr"):
        prepare(Home(tmp_path), "aliexpress-us", source=[folder])


@pytest.mark.parametrize(
    "names", [[], ["train.csv"], ["a.csv", "test.csv"], ["train.csv", "train2.csv", "test.csv"]]
)
def test_other_than_one_train_and_one_test_file_is_an_error(tmp_path: Path, names: list[str]) -> None:
    paths = [write_files(tmp_path, {name: csv(HEADER, TEST)}) / name for name in names]
    with pytest.raises(DataError, match=r"one train\.csv and one test\.csv.*Given: .*mtlbench prepare"):
        train_and_test(paths, "mtlbench prepare aliexpress-nl")


@fuzzing
@given(damage=st.binary(max_size=60), at=st.integers(0, 40_000), length=st.integers(0, 60))
def test_any_bytes_give_a_plain_error_or_every_row(
    tmp_path: Path, damage: bytes, at: int, length: int
) -> None:
    many = csv(HEADER, random_rows(4, range(100, 280)))
    text = many[:at] + damage + many[at + length :]
    data = attempt(
        lambda: prepared(tmp_path, "aliexpress-nl", {"train.csv": text, "test.csv": csv(HEADER, TEST)})
    )
    if data is None:
        return
    quirks = data.manifest["quirks"]
    assert quirks["train_rows"] == lines_in(text)
    dropped = quirks["train_malformed_rows"] + quirks["train_rows_without_label"]
    assert rows(data) == lines_in(text) - dropped + len(TEST)
    assert all(np.isfinite(data.open_split(split).numeric).all() for split in SPLITS)
