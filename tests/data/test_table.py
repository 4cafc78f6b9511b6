"""From a table to matrices: vocabularies of train alone, masks, sequences, and what is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.data import matrix
from mtlbench.data.recipe import Built, Reporting
from mtlbench.data.table import Vocabulary, cluster_codes, write_table
from mtlbench.errors import DataError
from mtlbench.load import SPLITS, SplitName, open_matrix
from mtlbench.schema import FIRST_ID, OUT_OF_VOCABULARY, PADDING, Field, Schema, Task

SCHEMA = Schema(
    fields=(
        Field(name="shop", kind="categorical", vocabulary="shop"),
        Field(name="item", kind="categorical", vocabulary="item"),
        Field(name="price", kind="numeric"),
        Field(name="past", kind="sequence", vocabulary="item", length=3),
    ),
    tasks=(Task(name="click"), Task(name="stars", kind="regression")),
    cluster="user",
)
FRAME = pl.DataFrame(
    {
        "shop": ["a", "b", None, "a"],
        "item": [7, 8, 7, 9],
        "price": [1.0, None, 3.0, float("inf")],
        "past": [[7, 8, 8, 7], [], None, [9]],
        "click": [0, 1, None, 1],
        "stars": [2.0, 5.0, float("nan"), 4.0],
        "user": ["u", "v", "u", "w"],
        "for people": ["x"] * 4,
    },
    schema_overrides={"past": pl.List(pl.Int64)},
)


def written(
    tmp_path: Path, frames: Mapping[SplitName, pl.DataFrame] | None = None, **more: Any
) -> tuple[Built, Path]:
    out = tmp_path / "out"
    out.mkdir()
    splits = {split: (frames or {}).get(split, FRAME).lazy() for split in SPLITS}
    built = write_table(
        splits, SCHEMA, work=tmp_path, out=out, says=Reporting("mtlbench prepare it"), least_rows=1, **more
    )
    return built, out


def test_every_kind_of_column_finds_its_matrix(tmp_path: Path) -> None:
    built, out = written(tmp_path, quirks={"odd": 3}, notes={"why": "so"})
    m = {name: open_matrix(out / "train" / f"{name}.npy") for name in ("categorical", "numeric", "labels")}
    assert built.vocabularies == {"shop": FIRST_ID + 2, "item": FIRST_ID + 3}
    assert m["categorical"].tolist() == [[2, 2], [3, 3], [PADDING, 2], [2, 4]]
    assert np.array_equal(m["numeric"][:, 0], [1, np.nan, 3, np.nan], equal_nan=True)
    labels = np.array([[0, 2], [1, 5], [np.nan, np.nan], [1, 4]])
    assert np.array_equal(m["labels"], labels, equal_nan=True)
    assert open_matrix(out / "train" / "sequence.npy").tolist() == [
        [3, 3, 2],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 4],
    ]
    cluster = open_matrix(out / "train" / "cluster.npy").tolist()
    assert cluster[0] == cluster[2]
    assert len(set(cluster)) == 3
    assert pl.read_parquet(out / "train.parquet").equals(FRAME)
    assert (built.quirks, built.notes, built.rows["test"]) == ({"odd": 3}, {"why": "so"}, 4)


def test_a_number_that_the_matrix_cannot_hold_is_missing(tmp_path: Path) -> None:
    _, out = written(tmp_path, {"train": FRAME.with_columns(price=pl.Series([1e300, -1e39, 1e30, 0.0]))})
    column = open_matrix(out / "train" / "numeric.npy")[:, 0]
    assert np.array_equal(column, np.array([np.nan, np.nan, 1e30, 0], np.float32), equal_nan=True)


def test_what_train_does_not_know_is_out_of_vocabulary(tmp_path: Path) -> None:
    """Vocabularies sized on one file overflow on another: sized on train, the unknown has an index."""
    test = FRAME.with_columns(shop=pl.Series(["zz", "a", "", None]), item=pl.Series([99, 7, -1, 10**12]))
    built, out = written(tmp_path, {"test": test})
    codes = open_matrix(out / "test" / "categorical.npy")
    assert codes.tolist() == [[1, 1], [2, 2], [1, 1], [PADDING, OUT_OF_VOCABULARY]]
    assert codes.max() < min(built.vocabularies.values())


def test_other_splits_change_nothing_of_train(tmp_path: Path) -> None:
    other = FRAME.with_columns(item=pl.lit(77), user=pl.lit("zz"), price=pl.lit(9.0), past=pl.lit([1, 2]))
    for name, frames in (("one", {}), ("two", {"test": other, "validation": other})):
        (tmp_path / name).mkdir()
        written(tmp_path / name, frames)  # type: ignore[arg-type]
    for file in sorted((tmp_path / "one/out/train").iterdir()):
        assert file.read_bytes() == (tmp_path / "two/out/train" / file.name).read_bytes()


def test_where_a_block_ends_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    written(tmp_path / "one")
    monkeypatch.setattr(matrix, "BLOCK", 3)
    written(tmp_path / "two")
    for file in sorted((tmp_path / "one/out/train").iterdir()):
        assert file.read_bytes() == (tmp_path / "two/out/train" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ([0, 1, 2, 1], "is binary, but 1 labels in the validation split are neither 0 nor 1"),
        ([0.5, 1, 0, 1], "is binary, but 1 labels"),
        ([1, 1, None, 1], "is 1 on every row of the validation split"),
        ([None] * 4, "is defined on no row of the validation split"),
        ([float("nan")] * 4, "is defined on no row"),
    ],
)
def test_a_task_that_cannot_be_judged_is_named(tmp_path: Path, label: list[Any], says: str) -> None:
    frame = FRAME.with_columns(click=pl.Series(label, dtype=pl.Float64))
    with pytest.raises(DataError, match=f"click {says}") as error:
        written(tmp_path, {"validation": frame})
    assert "mtlbench prepare it" in str(error.value)


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="The test split has no row"):
        written(tmp_path, {"test": FRAME.clear()})


def test_a_cluster_must_be_there() -> None:
    with pytest.raises(DataError, match="may not be empty"):
        cluster_codes(pl.Series("user", ["a", None]))
    assert cluster_codes(pl.Series("user", [3, -1, 3])).tolist() == [3, -1, 3]


@given(
    train=st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=20),
    new=st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=20),
)
def test_a_vocabulary_codes_as_a_dictionary_would(train: list[str | None], new: list[str | None]) -> None:
    known = sorted({text for text in train if text is not None}, key=lambda text: text.encode())
    vocabulary = Vocabulary(pl.Series(known, dtype=pl.String))
    slow = {text: i + FIRST_ID for i, text in enumerate(known)} | {None: PADDING}
    codes = vocabulary(pl.Series(new, dtype=pl.String))
    assert codes.tolist() == [slow.get(text, OUT_OF_VOCABULARY) for text in new]
    assert vocabulary.size == FIRST_ID + len(known)
