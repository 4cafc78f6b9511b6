"""Opening prepared data, and what is said when it is missing or damaged."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.errors import DataError, UsageError
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.load import MATRICES, SPLITS, Prepared, Split, open_matrix, open_prepared, prepared_names
from mtlbench.train.matrices import Layout, Matrices
from tests.conftest import prepare_anew, write_prepared


def test_splits_open_memory_mapped_with_their_types(toy: Prepared) -> None:
    for name in SPLITS:
        split = toy.open_split(name)
        for matrix, dtype in MATRICES.items():
            values = getattr(split, matrix)
            assert isinstance(values, np.memmap) == (values.size > 0)
            assert values.dtype == dtype
            assert len(values) == len(split)


def test_a_split_cannot_be_written_to(toy: Prepared) -> None:
    with pytest.raises(ValueError, match="read-only"):
        toy.open_split("train").numeric[:] = 7


def test_a_matrix_larger_than_memory_opens(tmp_path: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    file = tmp_path / "sparse.npy"
    header = {"descr": "<f4", "fortran_order": False, "shape": (memory, 1)}  # four times the memory
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 4 * memory)  # holes, which take no room on the disk
    assert open_matrix(file)[-1] == 0


def test_what_repeats_in_a_group_is_stored_once_and_read_for_every_row(toy: Prepared) -> None:
    schema = toy.schema
    fields = [replace(f, grouped=f.name in ("user", "age")) for f in schema.fields]
    opened = toy.open_split("train")  # copied: the files are about to change
    train = Split(**{name: np.array(getattr(opened, name)) for name in MATRICES})
    layout = Layout.of(schema, toy.vocabularies, torch.device("cpu"))
    before = Matrices.of(train, layout, torch.device("cpu")).batch(slice(0, 50))

    order = np.random.default_rng(0).permutation(600)  # any index will do: each row its own group, shuffled
    folder = toy.path / "train"
    np.save(folder / "group.npy", np.argsort(order).astype(np.int32))
    np.save(folder / "group_categorical.npy", train.categorical[:, :1][order])
    np.save(folder / "categorical.npy", train.categorical[:, 1:])
    np.save(folder / "group_numeric.npy", train.numeric[:, 1:][order])
    np.save(folder / "numeric.npy", train.numeric[:, :1])
    np.save(folder / "sequence.npy", train.sequence[order])
    np.save(folder / "cluster.npy", train.cluster[order])
    grouped = Prepared(toy.path, {**toy.manifest, "schema": replace(schema, fields=tuple(fields)).to_json()})

    split = grouped.open_split("train")
    assert split.group is not None
    assert (split.clusters() == train.clusters()).all()
    layout = Layout.of(grouped.schema, toy.vocabularies, torch.device("cpu"))
    after = Matrices.of(split, layout, torch.device("cpu")).batch(slice(0, 50))
    assert [f.name for f in grouped.schema.of_kind("categorical")] == ["item", "user"]
    assert (after.ids[:, [1, 0, 2, 3, 4]] == before.ids).all()
    assert (after.numeric == before.numeric).all()
    assert (after.sequence_mask == before.sequence_mask).all()


def test_only_the_chosen_tasks_are_read(home: Home, toy: Prepared) -> None:
    some = open_prepared(home, "toy", ("rating", "click"))
    assert some.schema.task_names == ("click", "rating")
    assert np.array_equal(
        some.open_split("test").labels, toy.open_split("test").labels[:, [0, 2]], equal_nan=True
    )
    assert open_prepared(home, "toy", ("buy",)).schema.tasks[0].given == ""  # `click` is not learnt
    with pytest.raises(UsageError, match=r"Unknown task 'clik'\. Did you mean 'click'"):
        open_prepared(home, "toy", ("clik",))


def test_optional_tasks_are_read_when_named(home: Home, toy: Prepared) -> None:
    schema = toy.schema
    tasks = tuple(replace(t, optional=t.name == "rating") for t in schema.tasks)
    write_json(toy.path / "manifest.json", {**toy.manifest, "schema": replace(schema, tasks=tasks).to_json()})
    assert open_prepared(home, "toy").schema.task_names == ("click", "buy")
    assert open_prepared(home, "toy").open_split("train").labels.shape == (600, 2)
    assert open_prepared(home, "toy", ("rating",)).schema.task_names == ("rating",)
    tasks = tuple(replace(t, optional=True) for t in schema.tasks)  # nothing else is there
    write_json(toy.path / "manifest.json", {**toy.manifest, "schema": replace(schema, tasks=tasks).to_json()})
    assert open_prepared(home, "toy").schema.task_names == schema.task_names


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


def test_what_was_prepared_anew_meanwhile_is_refused_before_its_files_are_complained_of(
    home: Home, toy: Prepared
) -> None:
    """What is open by then stays what it was."""
    split = toy.open_split("test")
    labels = np.array(split.labels)
    for rows, seed in ((600, 1), (300, 0)):
        prepare_anew(home, rows=rows, seed=seed)
        for name in SPLITS:
            with pytest.raises(DataError, match="datasets/toy/prepared was prepared anew while this ran"):
                toy.open_split(name)
        with pytest.raises(DataError, match=rf"is toy-{rows}-{seed}, and was toy-600-0 .* Run again"):
            open_prepared(home, "toy", ("no such task",), toy.fingerprint)
    assert np.array_equal(split.labels, labels, equal_nan=True)
    prepare_anew(home)
    assert np.array_equal(toy.open_split("test").labels, labels, equal_nan=True)
    assert open_prepared(home, "toy", fingerprint=toy.fingerprint).manifest == toy.manifest


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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("taobao", "Prepare it: mtlbench prepare taobao"),
        ("toyy", "Did you mean 'toy'?"),
        ("mine", "Prepare your own table: mtlbench prepare --card CARD.toml"),
    ],
)
def test_the_command_that_prepares_what_is_missing_is_one_that_works(
    toy: Prepared, home: Home, name: str, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        open_prepared(home, name)
    assert said in str(caught.value)
