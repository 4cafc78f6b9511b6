"""Census-Income: the official files become splits, and no task's own column is a feature."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.data.census_income import ABOUT, COLLEGE, FEATURES, NUMERIC, CensusSettings, deal
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare
from mtlbench.schema import PADDING
from tests.data.tables import DRESSES, attempt, contents, lines_in, prepared, rows, table, write_files

Person = dict[str, object]
LEVELS = ("Children", "High school graduate", "Some college but no degree", *COLLEGE)
fuzzing = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def random_people(seed: int, count: int) -> list[Person]:
    """People whose labels are no function of a single feature."""
    rng = np.random.default_rng(seed)
    people: list[Person] = []
    for _ in range(count):
        person: Person = {name: f"{name} {rng.integers(4)}" for name in ABOUT}
        person |= {name: int(rng.integers(0, 50)) for name in NUMERIC}
        person["previous_state"] = rng.choice(["?", "Utah", "Alaska"])
        person["education"] = rng.choice(LEVELS)
        person["marital_status"] = rng.choice(["Never married", "Widowed", "Divorced"])
        person["weight"] = round(float(rng.random() * 1000), 2)
        person["income_class"] = rng.choice(["- 50000.", "50000+."])
        people.append(person)
    return people


def text(people: list[Person]) -> bytes:
    return "".join(", ".join(str(v) for v in person.values()) + "\n" for person in people).encode()


TRAIN, TEST = random_people(1, 400), random_people(2, 200)


def files(train: list[Person] = TRAIN, test: list[Person] = TEST) -> dict[str, bytes]:
    return {"census-income.data": text(train), "census-income.test": text(test)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(tmp_path_factory.mktemp("base"), "census-income", files())


def test_the_columns_stand_where_the_documentation_says() -> None:
    """Positions, from 1, as census-income.names numbers them."""
    places = {1: "age", 5: "education", 8: "marital_status", 17: "capital_gains", 25: "weight"}
    assert len(ABOUT) == 42
    assert {place: list(ABOUT)[place - 1] for place in places} == places
    assert list(ABOUT)[39:] == ["weeks_worked", "year", "income_class"]


def test_no_label_and_no_weight_is_a_feature(base: Prepared) -> None:
    names = {f.name for f in base.schema.fields}
    assert names == set(FEATURES)
    assert len(names) == 38
    assert not names & {"education", "marital_status", "income_class", "weight"}


def test_train_is_the_train_file_and_the_test_file_is_halved(base: Prepared) -> None:
    splits = base.manifest["splits"]
    assert splits["train"]["rows"] == len(TRAIN)
    assert splits["validation"]["rows"] + splits["test"]["rows"] == len(TEST)
    assert 70 <= splits["test"]["rows"] <= 130
    assert table(base, "train")["weight"].to_list() == [p["weight"] for p in TRAIN]
    assert splits["train"]["clusters"] == len(TRAIN)


def test_labels_are_what_the_card_says(base: Prepared) -> None:
    train = table(base, "train")
    assert train["income"].to_list() == [int(p["income_class"] == "50000+.") for p in TRAIN]
    assert train["marital"].to_list() == [int(p["marital_status"] == "Never married") for p in TRAIN]
    assert train["education"].to_list() == [int(p["education"] in COLLEGE) for p in TRAIN]
    assert "Some college but no degree" not in COLLEGE


def test_a_question_mark_is_nothing_there_and_money_is_a_logarithm(base: Prepared) -> None:
    fields = [f.name for f in base.schema.of_kind("categorical")]
    index = base.open_split("train").categorical[:, fields.index("previous_state")]
    assert ((index == PADDING) == np.array([p["previous_state"] == "?" for p in TRAIN])).all()
    wages = np.array([p["wage_per_hour"] for p in TRAIN], float)
    assert np.allclose(table(base, "train")["wage_per_hour"], np.log1p(wages))
    assert table(base, "train")["age"].to_list() == [p["age"] for p in TRAIN]


def test_duplicates_are_people_counted_and_kept(tmp_path: Path) -> None:
    data = prepared(tmp_path, "census-income", files(train=TRAIN + TRAIN[:7]))
    assert data.manifest["quirks"]["file_1_duplicate_rows"] == 7
    assert data.manifest["splits"]["train"]["rows"] == len(TRAIN) + 7


def test_one_file_alone_is_refused_unless_its_rows_are_dealt(tmp_path: Path) -> None:
    """Never silently: the error names the setting, the manifest keeps it."""
    alone = {"census-income.test.gz": gzip.compress(text(TRAIN))}
    with pytest.raises(
        DataError, match=r"census-income\.data.*Given: census-income\.test.*--set split=hashed"
    ):
        prepared(tmp_path / "one", "census-income", alone)
    data = prepared(tmp_path / "two", "census-income", alone, split="hashed")
    assert data.manifest["settings"]["split"] == "hashed"
    counts = [data.manifest["splits"][split]["rows"] for split in SPLITS]
    assert sum(counts) == len(TRAIN)
    assert counts[0] > 0.6 * len(TRAIN)
    assert min(counts[1:]) > 0.09 * len(TRAIN)


def test_files_of_other_names_are_taken_and_documents_passed_over(base: Prepared, tmp_path: Path) -> None:
    renamed = {"my_train.csv": files()["census-income.data"], "my_test.csv": files()["census-income.test"]}
    more = {"census-income.names": b"age: continuous.\n", "README.md": b"hello"}
    assert prepared(tmp_path, "census-income", renamed | more).fingerprint == base.fingerprint


def test_an_archive_that_holds_the_files_twice_is_read_once(base: Prepared, tmp_path: Path) -> None:
    """As UCI's: each packed alone, and both in a tar."""
    packed = {f"{name}.gz": gzip.compress(data) for name, data in files().items()}
    both = io.BytesIO()
    with tarfile.open(fileobj=both, mode="w:gz") as archive:
        for name, content in files().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = prepared(tmp_path, "census-income", packed | {"census.tar.gz": both.getvalue()})
    assert data.fingerprint == base.fingerprint


def test_dealing_gives_each_row_to_one_split() -> None:
    people = pl.LazyFrame({"row": range(100_000)})
    dealt = {
        s: f.collect()["row"].to_list() for s, f in deal([people], CensusSettings(split="hashed")).items()
    }
    assert sorted(n for rows in dealt.values() for n in rows) == list(range(100_000))
    shares = [len(dealt[split]) / 100_000 for split in SPLITS]
    assert np.allclose(shares, [0.70, 0.15, 0.15], atol=0.005)
    assert all(rows == sorted(rows) for rows in dealt.values())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_no_test_row_changes_train_or_validation(base: Prepared, tmp_path: Path, seed: int) -> None:
    """Rows of the test half are replaced where they stand, for the halves are drawn by row number."""
    at_test = set((table(base, "test")["row"] - 1_000_000_001).to_list())
    others = random_people(seed, len(TEST))
    test = [others[n] if n in at_test else person for n, person in enumerate(TEST)]
    changed = prepared(tmp_path, "census-income", files(test=test))
    assert contents(changed, "train", "validation") == contents(base, "train", "validation")
    assert changed.fingerprint != base.fingerprint


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_table_in_another_dress_is_the_same(base: Prepared, tmp_path: Path, dress: str) -> None:
    dressed = {name: DRESSES[dress](content) for name, content in files().items()}
    assert prepared(tmp_path, "census-income", dressed).fingerprint == base.fingerprint


def test_blanks_and_the_trailing_point_do_not_matter(base: Prepared, tmp_path: Path) -> None:
    plain = {name: content.replace(b", ", b",").replace(b".\n", b"\n") for name, content in files().items()}
    assert prepared(tmp_path, "census-income", plain).fingerprint == base.fingerprint


def test_both_files_in_the_raw_folder_are_found(base: Prepared, home: Home) -> None:
    packed = {f"{name}.gz": gzip.compress(content) for name, content in files().items()}
    write_files(home.raw("census-income"), packed)
    assert prepare(home, "census-income").fingerprint == base.fingerprint


@pytest.mark.parametrize(
    "line", ["", "1, 2, 3", "50000+.", "?", ", ".join(["x"] * 42), ", ".join(["1"] * 43)], ids=repr
)
def test_a_malformed_line_is_counted_and_named(tmp_path: Path, line: str) -> None:
    many = text(random_people(3, 1200)).split(b"\n")
    many.insert(4, line.encode())
    data = prepared(tmp_path, "census-income", files() | {"census-income.data": b"\n".join(many)})
    assert data.manifest["quirks"]["file_1_malformed_rows"] == 1
    assert data.manifest["file_1_malformed_lines"] == [5]
    assert data.manifest["splits"]["train"]["rows"] == 1200


def test_another_census_file_is_refused(tmp_path: Path) -> None:
    """The older Adult set has 15 columns."""
    adult = (
        b"39, State-gov, 77516, Bachelors, 13, Never-married, x, y, White, Male, 2174, 0, 40, US, <=50K\n"
        * 30
    )
    with pytest.raises(DataError, match=r"30 of 30 rows are malformed.*42 columns"):
        prepared(tmp_path, "census-income", files() | {"census-income.data": adult})


@fuzzing
@given(damage=st.binary(max_size=60), at=st.integers(0, 40_000), length=st.integers(0, 60))
def test_any_bytes_give_a_plain_error_or_every_row(
    tmp_path: Path, damage: bytes, at: int, length: int
) -> None:
    many = text(random_people(4, 1200))
    damaged = many[:at] + damage + many[at + length :]
    data = attempt(lambda: prepared(tmp_path, "census-income", files() | {"census-income.data": damaged}))
    if data is None:
        return
    quirks = data.manifest["quirks"]
    assert quirks["file_1_rows"] == lines_in(damaged, header=False)
    assert data.manifest["splits"]["train"]["rows"] == quirks["file_1_rows"] - quirks["file_1_malformed_rows"]
    assert rows(data) == quirks["file_1_rows"] - quirks["file_1_malformed_rows"] + len(TEST)
    assert all(np.isfinite(data.open_split(split).numeric).all() for split in SPLITS)
