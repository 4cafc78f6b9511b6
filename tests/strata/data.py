"""Prepared rows of which only the Parquet files and the manifest matter."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.load import FORMAT, open_prepared
from mtlbench.schema import Field, Schema, Task
from mtlbench.strata.rows import Rows

IDS = (
    Field(name="user", kind="categorical", vocabulary="user", of="user"),
    Field(name="city", kind="categorical", vocabulary="city", of="user"),
    Field(name="item", kind="categorical", vocabulary="item", of="item"),
)
TASKS = (Task(name="view"), Task(name="buy", given="view"), Task(name="stars", kind="regression"))


def rows(
    home: Home,
    train: Mapping[str, Sequence[Any]],
    test: Mapping[str, Sequence[Any]],
    fields: Sequence[Field] = IDS,
    tasks: Sequence[Task] = TASKS,
) -> Rows:
    """A prepared dataset named toy; columns that are not given are of one value."""
    folder = home.prepared("toy")
    folder.mkdir(parents=True)
    filled: dict[str, Any] = {f.name: 0 for f in fields} | {t.name: 0.0 for t in tasks} | {"user": 0}
    counts = {}
    for split, given in (("train", train), ("test", test)):
        length = len(next(iter(given.values())))
        columns = {**{name: [value] * length for name, value in filled.items()}, **given}
        frame = pl.DataFrame(columns, strict=False)
        frame.write_parquet(folder / f"{split}.parquet")
        counts[split] = {"rows": length, "clusters": frame["user"].n_unique()}
    schema = Schema(fields=tuple(fields), tasks=tuple(tasks))
    manifest = {
        "format": FORMAT,
        "dataset": "toy",
        "command": "mtlbench prepare toy",
        "fingerprint": "f",
        "schema": schema.to_json(),
        "vocabularies": {"user": 90, "city": 4, "item": 50},
        "splits": counts,
    }
    write_json(folder / "manifest.json", manifest)
    return Rows(open_prepared(home, "toy"))
