"""Opening prepared data, and what is said when it is missing or damaged."""

import os

import numpy as np
import pytest

from mtlbench.errors import DataError
from mtlbench.home import Home, write_json
from mtlbench.load import MATRICES, SPLITS, Prepared, open_prepared, prepared_names
from tests.conftest import write_prepared


def test_splits_open_memory_mapped_with_their_types(toy: Prepared) -> None:
    for name in SPLITS:
        split = toy.open_split(name)
        for matrix, dtype in MATRICES.items():
            values = getattr(split, matrix)
            assert isinstance(values, np.memmap)
            assert values.dtype == dtype
            assert len(values) == len(split)


def test_writing_to_a_split_does_not_reach_the_disk(toy: Prepared) -> None:
    toy.open_split("train").numeric[:] = 7
    assert not (np.asarray(toy.open_split("train").numeric) == 7).any()


def test_what_is_not_prepared_is_named_with_the_command(home: Home) -> None:
    with pytest.raises(DataError, match="mtlbench prepare taobao"):
        open_prepared(home, "taobao")


def test_a_damaged_matrix_is_named(toy: Prepared) -> None:
    file = toy.path / "train" / "labels.npy"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"train/labels\.npy cannot be read.*--force"):
        toy.open_split("train")
    np.save(file, np.zeros((3, 3), np.float32))
    with pytest.raises(DataError, match="has 3 rows, its manifest says 600"):
        toy.open_split("train")
    file.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        toy.open_split("train")


def test_a_damaged_or_foreign_manifest_is_named(home: Home, toy: Prepared) -> None:
    write_json(toy.path / "manifest.json", {**toy.manifest, "format": 99})
    with pytest.raises(DataError, match="has format 99"):
        open_prepared(home, "toy")
    (toy.path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        open_prepared(home, "toy")


def test_names_come_newest_first(home: Home) -> None:
    for age, name in enumerate(("old", "new")):
        prepared = write_prepared(home, name, rows=20)
        os.utime(prepared.path / "manifest.json", (age, age))
    assert prepared_names(home) == ["new", "old"]
