"""The prepare stage from outside: same again is nothing, other things are refused, errors leave nothing."""

import errno
import gzip
import json
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from mtlbench.data import simulated
from mtlbench.data.download import download
from mtlbench.data.download.resume import Patience
from mtlbench.data.shop import ShopSettings, truth
from mtlbench.errors import DataError, UsageError
from mtlbench.files import alone_in
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared, open_prepared, prepared_names
from mtlbench.prepare import prepare, summary
from tests.data.logs import random_rows, write_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log.csv", random_rows(21, users=30, items=80, events=2500))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


def taobao(home: Home, log: Path | None, **more: Any) -> Prepared:
    options = {"users": 12} | more.pop("options", {})
    return prepare(home, "taobao", source=[log] if log else (), options=options, **more)


def everything(home: Home) -> dict[str, tuple[int, int]]:
    """Each file below the home with its inode and date: what was written anew shows."""
    files = (path for path in home.root.rglob("*") if path.is_file())
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def test_the_summary_is_the_contract(home: Home, log: Path) -> None:
    prepared = taobao(home, log)
    document = json.loads(json.dumps(summary(prepared)))
    about = ["dataset", "fingerprint", "path", "simulated", "cluster"]
    assert list(document) == [*about, "splits", "periods", "quirks"]
    assert document["dataset"] == "taobao"
    assert re.fullmatch("[0-9a-f]{64}", document["fingerprint"])
    assert document["path"] == "datasets/taobao/prepared"
    assert document["simulated"] is False
    assert document["periods"] == {
        "train": "2017-11-26 .. 2017-11-30 (UTC+8)",
        "validation": "2017-12-01 (UTC+8)",
        "test": "2017-12-02 .. 2017-12-03 (UTC+8)",
    }
    assert list(document["splits"]) == ["train", "validation", "test"]
    for split in document["splits"].values():
        assert set(split) == {"rows", "groups", "clusters", "defined", "positives"}
        assert list(split["positives"]) == ["view", "cart", "fav", "buy"]
        assert all(isinstance(n, int) and n > 0 for n in split["positives"].values())
    assert all(isinstance(n, int) for n in document["quirks"].values())
    for quirk in (
        "rows",
        "malformed_rows",
        "rows_outside_window",
        "duplicate_rows",
        "items_in_several_categories",
    ):
        assert quirk in document["quirks"]


def test_what_is_written_is_what_load_reads(home: Home, log: Path) -> None:
    prepared = taobao(home, log)
    assert open_prepared(home, "taobao").manifest == prepared.manifest
    schema = prepared.schema
    assert [t.given for t in schema.tasks] == ["", "view", "view", "view"]
    for split in SPLITS:
        opened = prepared.open_split(split)
        groups = len(opened.cluster)
        assert opened.group is not None
        assert (len(opened.group), len(opened.labels)) == (len(opened), 5 * groups)
        for kind in ("categorical", "numeric"):
            own, shared = getattr(opened, kind), getattr(opened, f"group_{kind}")
            assert (len(own), len(shared)) == (len(opened), groups)
            assert own.shape[1] + shared.shape[1] == len(schema.of_kind(kind))
        assert opened.sequence.shape == (groups, sum(f.length for f in schema.of_kind("sequence")))
        assert opened.labels.shape == (len(opened), 4)
        assert np.isfinite(opened.numeric).all()
        assert np.isfinite(opened.group_numeric).all()
        assert set(np.unique(opened.labels)) == {0.0, 1.0}
        sizes = [prepared.vocabularies[f.vocabulary] for f in schema.of_kind("categorical")]
        width = opened.categorical.shape[1]
        assert (opened.categorical < sizes[:width]).all()
        assert (opened.group_categorical < sizes[width:]).all()
        assert opened.sequence.max() < prepared.vocabularies["category"]


def test_the_manifest_says_how_it_came_about(home: Home, log: Path) -> None:
    manifest = taobao(home, log, options={"negatives": "3", "seed": "5"}).manifest
    assert manifest["settings"] == {"users": 12, "negatives": 3, "seed": 5}
    [source] = manifest["sources"]
    assert (source["name"], source["bytes"]) == ("log.csv", log.stat().st_size)
    assert len(source["sha256"]) == 64
    assert manifest["malformed_lines"] == []
    assert manifest["recipe"] == "taobao"
    assert set(manifest["guards"]) >= {"auc", "above", "never_seen", "identical_tasks"}


def test_the_same_again_does_nothing_and_says_so(home: Home, log: Path) -> None:
    first = summary(taobao(home, log))
    before = everything(home)
    said: list[str] = []
    again = taobao(home, log, options={"users": "12"}, report=said.append)
    assert summary(again) == first
    assert everything(home) == before
    assert said == ["datasets/taobao/prepared is that already; nothing to do."]


def test_a_copy_of_the_source_is_the_same_source(home: Home, log: Path, tmp_path: Path) -> None:
    taobao(home, log)
    before = everything(home)
    copy = tmp_path / "copy.csv"
    copy.write_bytes(log.read_bytes())
    taobao(home, copy)
    assert everything(home) == before


def test_made_anew_the_fingerprint_is_the_same(home: Home, log: Path, tmp_path: Path) -> None:
    """Also from a packed log, and under another name; not with another seed."""
    first = taobao(home, log).fingerprint
    assert taobao(home, log, force=True).fingerprint == first
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    other = taobao(home, packed, name="again")
    assert (other.fingerprint, other.name) == (first, "again")
    assert summary(other)["path"] == "datasets/again/prepared"
    assert taobao(home, log, name="seed-1", options={"seed": 1}).fingerprint != first
    assert set(prepared_names(home)) == {"taobao", "again", "seed-1"}


def test_other_settings_need_force_or_a_name(home: Home, log: Path) -> None:
    first = taobao(home, log).fingerprint
    before = everything(home)
    with pytest.raises(UsageError, match=r"users 12 \(asked: 13\).*--force.*--as NAME"):
        taobao(home, log, options={"users": 13})
    assert everything(home) == before
    assert taobao(home, log, options={"users": 13}, name="more").manifest["dataset"] == "more"
    assert taobao(home, log, options={"users": 13}, force=True).fingerprint != first


def test_another_source_needs_force(home: Home, log: Path, tmp_path: Path) -> None:
    taobao(home, log)
    other = write_log(tmp_path / "other.csv", random_rows(22, users=30, items=80, events=2500))
    with pytest.raises(UsageError, match=r"source log\.csv \(asked: other\.csv, other bytes\)"):
        taobao(home, other)
    taobao(home, other, force=True)


def test_the_raw_folder_is_looked_at_first(home: Home, log: Path) -> None:
    home.raw("taobao").mkdir(parents=True)
    log.rename(home.raw("taobao") / "UserBehavior.csv")
    assert taobao(home, None).manifest["sources"][0]["name"] == "UserBehavior.csv"


def test_without_a_raw_file_what_is_prepared_stands(home: Home, log: Path) -> None:
    """Nothing contradicts it, so nothing is downloaded."""
    first = taobao(home, log)
    assert taobao(home, None).manifest == first.manifest


def test_without_anything_the_way_by_hand_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, **more: object) -> None:
        raise requests.ConnectionError("no network here")

    monkeypatch.setattr("requests.get", refuse)
    impatient = partial(download, patience=Patience(sleep=lambda seconds: None))
    monkeypatch.setattr("mtlbench.data.source.download", impatient)
    with pytest.raises(DataError) as caught:
        taobao(home, None)
    for part in ("https://tianchi.aliyun.com/dataset/649", "UserBehavior.csv.zip", "does not answer"):
        assert part in str(caught.value)
    assert "mtlbench prepare taobao --source UserBehavior.csv.zip" in str(caught.value)
    assert list(home.root.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user": 5}, r"Unknown option of dataset 'taobao' 'user'\. Did you mean 'users'"),
        ({"zipf": 1}, r"Unknown option of dataset 'taobao' 'zipf'"),
        ({"users": "many"}, r"users = 'many'"),
        ({"users": 0}, r"users = 0"),
        ({"negatives": 0}, r"negatives = 0"),
        ({"seed": -1}, r"seed = -1"),
        ({"seed": "x"}, r"seed = 'x'"),
    ],
)
def test_a_bad_option_is_wrong_use(
    home: Home, log: Path, options: Mapping[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(home, "taobao", source=[log], options=options)
    assert not home.datasets.exists()


def test_an_unknown_dataset_is_wrong_use(home: Home) -> None:
    with pytest.raises(UsageError, match=r"Unknown dataset 'taoboa'\. Did you mean 'taobao'"):
        prepare(home, "taoboa")


@pytest.mark.parametrize("name", ["../up", "a b", "", ".hidden", "a/b", "x" * 65, "shop"])
def test_a_name_must_be_one_of_a_folder_and_free(home: Home, log: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--as"):
        taobao(home, log, name=name)


def test_the_simulated_shop_reads_no_source(home: Home, log: Path) -> None:
    with pytest.raises(UsageError, match="simulated"):
        prepare(home, "shop", source=[log])


BAD = {
    "empty": b"",
    "columns": b"1,2,3,pv\n" * 2000,
    "days": b"1,2,3,pv,1400000000\n" * 2000,
    "user": b"".join(b"1,%d,3,pv,%d\n" % (n, 1511600000 + n) for n in range(2000)),
    "gz": gzip.compress(b"1,2,3,pv,1511600000\n" * 2000)[:60],
    "zip": b"PK\x03\x04 and then nothing",
    "page": b"<html></html>",
    "noise": bytes(range(256)) * 50,
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_log_leaves_nothing_behind(home: Home, log: Path, tmp_path: Path, case: str) -> None:
    """Neither on a fresh home, nor of what was prepared before; the message says what to do."""
    bad = tmp_path / "bad.csv"
    bad.write_bytes(BAD[case])
    with pytest.raises(DataError, match=r"mtlbench prepare taobao --source FILE"):
        taobao(home, bad)
    assert list(home.root.iterdir()) == []
    taobao(home, log)
    before = everything(home)
    with pytest.raises(DataError):
        taobao(home, bad, force=True)
    assert everything(home) == before
    assert [p.name for p in (home.datasets / "taobao").iterdir()] == ["prepared"]


def test_a_missing_file_is_named(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nope\.csv: no such file.*mtlbench prepare taobao --source FILE"):
        taobao(home, tmp_path / "nope.csv")


@pytest.mark.parametrize("where", ["read_log", "draw", "features", "SplitWriter", "check_positives"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError, OSError])
def test_an_interruption_leaves_nothing_behind(
    home: Home, log: Path, monkeypatch: pytest.MonkeyPatch, where: str, kind: type[BaseException]
) -> None:
    def interrupt(*args: object, **more: object) -> None:
        raise kind("stop")

    first = taobao(home, log)
    before = everything(home)
    with monkeypatch.context() as patch:
        module = "taobao" if where == "read_log" else "userbehavior.build"
        patch.setattr(f"mtlbench.data.{module}.{where}", interrupt)
        with pytest.raises(DataError if kind is OSError else kind, match="stop"):
            taobao(home, log, options={"seed": 3}, force=True)
    assert everything(home) == before
    assert [p.name for p in (home.datasets / "taobao").iterdir()] == ["prepared"]
    assert taobao(home, log).fingerprint == first.fingerprint


def test_what_a_killed_preparation_left_is_swept_away(home: Home, log: Path) -> None:
    """Scratch folders of this dataset go; nothing else does."""
    folder = home.datasets / "taobao"
    for name in (".prepare-abc", ".prepared-xyz", ".prepared-old-1", "raw", ".mine"):
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "deep" / "file").write_text("x")
    taobao(home, log)
    assert {path.name for path in folder.iterdir()} == {"prepared", "raw", ".mine"}


def test_two_at_the_same_time_are_one_too_many(home: Home, log: Path) -> None:
    with (
        alone_in(home.datasets / "taobao"),
        pytest.raises(UsageError, match=r"Another mtlbench prepare is at work in .*taobao.*--as NAME"),
    ):
        taobao(home, log)
    taobao(home, log)


def test_no_space_left_is_said_plainly(home: Home, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mtlbench.data.matrix.Matrix.write", full)
    with pytest.raises(DataError, match=r"No space left for .*prepared.*MTLBENCH_HOME"):
        taobao(home, log)
    assert list(home.root.iterdir()) == []


def test_a_guard_that_fires_leaves_nothing_behind(
    home: Home, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feature that holds the label: judged as soon as a single user counts as enough."""

    def leaky(self: Any, rows: Any, features: Any) -> None:
        features.numeric[:, 0] = rows.labels[:, 3]
        write(self, rows, features)

    from mtlbench.data.userbehavior.matrices import SplitWriter

    write = SplitWriter.write
    monkeypatch.setattr(SplitWriter, "write", leaky)
    monkeypatch.setattr("mtlbench.data.guards.LEAST_CLUSTERS", 1)
    with pytest.raises(DataError, match=r"item_pv alone has AUC 1\.000 on buy"):
        taobao(home, log)
    assert list(home.root.iterdir()) == []


def test_a_damaged_set_says_so_and_force_mends_it(home: Home, log: Path) -> None:
    prepared = taobao(home, log)
    (prepared.path / "test" / "labels.npy").unlink()
    with pytest.raises(DataError, match="--force"):
        taobao(home, log)
    assert taobao(home, log, force=True).fingerprint == prepared.fingerprint
    (prepared.path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="--force"):
        taobao(home, log)
    assert taobao(home, log, force=True).fingerprint == prepared.fingerprint


def test_progress_ends_where_it_said_it_would(home: Home, log: Path) -> None:
    last: dict[str, tuple[int, int]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        assert done <= total or total == 0
        assert done >= last.get(stage, (0, 0))[0]
        last[stage] = (done, total)

    taobao(home, log, progress=progress)
    assert {"checksum", "sort", "draw", "features"} <= set(last)
    assert all(done == total for done, total in last.values())


SHOP: dict[str, Any] = {"users": 60, "items": 200, "events_per_day": 30}


def test_the_shop_goes_through_the_same_code(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, with the truth beside each task; settings as strings, as --set gives them."""
    options = {k: str(v) for k, v in SHOP.items()}
    prepared = prepare(home, "shop", options=options)
    assert summary(prepared)["simulated"] is True
    assert prepared.manifest["settings"]["items"] == 200
    planted = truth(ShopSettings(**SHOP))
    assert {t.name: t.truth for t in prepared.schema.tasks} == planted
    monkeypatch.setattr(simulated, "simulate", None)  # the second time it would fail
    assert prepare(home, "shop", options=options).manifest == prepared.manifest


def test_the_shop_is_the_same_each_time_and_other_with_each_seed(home: Home) -> None:
    one, two = (prepare(home, "shop", options=SHOP, force=True).fingerprint for _ in range(2))
    assert one == two
    assert prepare(home, "shop", options={**SHOP, "seed": 1}, name="shop-1").fingerprint != one


def test_an_unknown_knob_is_wrong_use(home: Home) -> None:
    with pytest.raises(UsageError, match=r"'rho_bye'\. Did you mean 'rho_buy'"):
        prepare(home, "shop", options={"rho_bye": "1"})


def test_a_home_that_reads_as_a_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would be read as a pattern"):
        prepare(Home(tmp_path / "my [shop]"), "shop", options=SHOP)
