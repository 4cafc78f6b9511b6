"""Fixtures shared by the tests: a small prepared dataset made on the spot, the command line."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlbench.cli import main
from mtlbench.files import free_name, write_json
from mtlbench.home import Home
from mtlbench.load import FORMAT, Prepared, open_prepared
from mtlbench.schema import Field, Schema, Task

USERS, ITEMS = 40, 30


def write_prepared(home: Home, name: str = "toy", rows: int = 600, seed: int = 0) -> Prepared:
    """A tiny prepared dataset with two learnable binary tasks and a regression, some labels undefined."""
    rng = np.random.default_rng(seed)
    schema = Schema(
        fields=(
            Field(name="user", kind="categorical", vocabulary="user", of="user"),
            Field(name="item", kind="categorical", vocabulary="item", of="item"),
            Field(name="price", kind="numeric", of="item"),
            Field(name="age", kind="numeric", of="user"),
            Field(name="history", kind="sequence", vocabulary="item", length=3, of="user"),
        ),
        tasks=(Task(name="click"), Task(name="buy", given="click"), Task(name="rating", kind="regression")),
    )
    splits = {}
    for split, n in (("train", rows), ("validation", rows // 2), ("test", rows // 2)):
        folder = home.prepared(name) / split
        folder.mkdir(parents=True, exist_ok=True)
        user, item = rng.integers(2, USERS, n), rng.integers(2, ITEMS, n)
        numeric = rng.normal(size=(n, 2)).astype(np.float32)
        logit = 2 * numeric[:, 0] + ((item % 3) - 1)
        click = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
        buy = click * (rng.random(n) < 1 / (1 + np.exp(-numeric[:, 1])))
        rating = (numeric[:, 0] + 0.1 * rng.normal(size=n)).astype(np.float32)
        rating[rng.random(n) < 0.3] = np.nan
        history = rng.integers(0, ITEMS, (n, 3)) * (np.arange(3) >= rng.integers(0, 4, (n, 1)))
        np.save(folder / "categorical.npy", np.stack([user, item], axis=1).astype(np.int32))
        np.save(folder / "numeric.npy", numeric)
        np.save(folder / "sequence.npy", history.astype(np.int32))
        np.save(folder / "labels.npy", np.stack([click, buy, rating], axis=1).astype(np.float32))
        np.save(folder / "cluster.npy", user.astype(np.int64))
        np.save(folder / "group_categorical.npy", np.empty((n, 0), np.int32))
        np.save(folder / "group_numeric.npy", np.empty((n, 0), np.float32))
        splits[split] = {
            "rows": n,
            "groups": n,
            "clusters": len(np.unique(user)),
            "positives": {"click": int(click.sum()), "buy": int(buy.sum())},
        }
    manifest = {
        "format": FORMAT,
        "dataset": name,
        "recipe": name,
        "command": f"mtlbench prepare {name}",
        "fingerprint": f"{name}-{rows}-{seed}",
        "simulated": True,
        "schema": schema.to_json(),
        "vocabularies": {"user": USERS, "item": ITEMS},
        "splits": splits,
        "quirks": {},
        "guards": {"above": []},
        "settings": {"rows": rows},
        "sources": [{"name": "toy.csv"}],
    }
    write_json(home.prepared(name) / "manifest.json", manifest)
    return open_prepared(home, name)


def prepare_anew(home: Home, name: str = "toy", **settings: int) -> Prepared:
    """As `prepare --force` does it: another folder takes the place of the old one."""
    home.prepared(name).rename(free_name(home.prepared(name).with_name("old")))
    return write_prepared(home, name, **settings)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def toy(home: Home) -> Prepared:
    return write_prepared(home)


@pytest.fixture
def make_prepared(home: Home) -> Callable[..., Prepared]:
    return lambda **settings: write_prepared(home, **settings)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Answer]


@pytest.fixture
def mtlbench(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process, with a fresh home."""
    monkeypatch.setenv("MTLBENCH_HOME", str(home.root))
    monkeypatch.chdir(home.root)

    def call(*args: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["mtlbench", *args])
        with pytest.raises(SystemExit) as stop:
            main()
        written = capsys.readouterr()
        return Answer(int(stop.value.code or 0), written.out, written.err)

    return call
