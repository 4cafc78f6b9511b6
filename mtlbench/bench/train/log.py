"""A generated click log, as wide as those of advertising: 16 categorical fields, 500,000 ids, 63 numbers.

Ids are skewed, as in any log: the first tenth of a vocabulary takes nearly half of the rows. Clicks are 2 %
of the rows, conversions a quarter of the clicks; both follow effects of ids and numbers. Simulated.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlbench.bench.train.cases import TASKS
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.load import FORMAT, SPLITS, Prepared, open_prepared
from mtlbench.schema import Field, Schema, Task

NAME = "generated"
CATEGORICAL, NUMERIC, IDS = 16, 63, 500_000
CLICKS, CONVERSIONS = 0.02, 0.25
RESERVED = 2
"""Number of indices that every vocabulary reserves: padding and out-of-vocabulary."""
ROWS_A_USER = 20


def vocabularies(ids: int = IDS) -> dict[str, int]:
    """Return the fields' vocabulary sizes: each 0.6 of the one before, at least 4, in total about `ids`."""
    shares = 0.6 ** np.arange(CATEGORICAL)
    sizes = np.maximum(4, (ids * shares / shares.sum()).astype(int))
    return {f"field_{i:02}": int(size) + RESERVED for i, size in enumerate(sizes)}


def generate(home: Home, rows: int, seed: int, ids: int = IDS) -> Prepared:
    """Write the log as a prepared dataset: `rows` for train, a tenth of that each for validation and test."""
    random = np.random.default_rng(seed)
    sizes = vocabularies(ids)
    effects = [random.normal(size=(size, len(TASKS))).astype(np.float32) for size in sizes.values()]
    slopes = random.normal(size=(NUMERIC, len(TASKS))).astype(np.float32) / NUMERIC**0.5
    counts, tenth = {}, max(rows // 10, 1)
    cuts: list[float] = []
    for split, number in zip(SPLITS, (rows, tenth, tenth), strict=True):
        folder = home.prepared(NAME) / split
        folder.mkdir(parents=True, exist_ok=True)
        columns = [_skewed(random, size, number) for size in sizes.values()]
        numeric = random.normal(size=(number, NUMERIC)).astype(np.float32)
        logits = (
            numeric @ slopes + sum(e[c] for e, c in zip(effects, columns, strict=True)) / CATEGORICAL**0.5
        )
        noisy = logits + random.logistic(scale=0.5, size=logits.shape)
        if not cuts:
            cuts.append(float(np.quantile(noisy[:, 0], 1 - CLICKS)))
            cuts.append(float(np.quantile(noisy[noisy[:, 0] > cuts[0], 1], 1 - CONVERSIONS)))
        labels = noisy > cuts
        labels[:, 1] &= labels[:, 0]
        user = np.arange(number) // ROWS_A_USER
        _save(folder, np.stack(columns, axis=1), numeric, labels, user)
        counts[split] = {
            "rows": number,
            "groups": number,
            "clusters": int(user[-1]) + 1,
            "positives": dict(zip(TASKS, map(int, labels.sum(axis=0)), strict=True)),
        }
    schema = Schema(
        fields=(
            *(Field(name=name, kind="categorical", vocabulary=name) for name in sizes),
            *(Field(name=f"number_{i:02}", kind="numeric") for i in range(NUMERIC)),
        ),
        tasks=tuple(Task(name=name) for name in TASKS),
    )
    manifest = {
        "format": FORMAT,
        "dataset": NAME,
        "recipe": NAME,
        "command": "mtlbench bench train",
        "fingerprint": f"{NAME}-{rows}-{seed}-{ids}",
        "simulated": True,
        "schema": schema.to_json(),
        "vocabularies": sizes,
        "splits": counts,
        "quirks": {},
        "guards": {"above": []},
        "settings": {"rows": rows, "seed": seed, "ids": ids},
    }
    write_json(home.prepared(NAME) / "manifest.json", manifest)
    return open_prepared(home, NAME)


def _skewed(random: np.random.Generator, size: int, rows: int) -> NDArray[np.int32]:
    return (RESERVED + (size - RESERVED) * random.random(rows) ** 3).astype(np.int32)


def _save(
    folder: Path,
    categorical: NDArray[np.int32],
    numeric: NDArray[np.float32],
    labels: NDArray[np.bool_],
    user: NDArray[np.int64],
) -> None:
    rows = len(user)
    np.save(folder / "categorical.npy", categorical)
    np.save(folder / "numeric.npy", numeric)
    np.save(folder / "labels.npy", labels.astype(np.float32))
    np.save(folder / "cluster.npy", user)
    np.save(folder / "sequence.npy", np.empty((rows, 0), np.int32))
    np.save(folder / "group_categorical.npy", np.empty((rows, 0), np.int32))
    np.save(folder / "group_numeric.npy", np.empty((rows, 0), np.float32))
