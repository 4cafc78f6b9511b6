"""A14: no row of the test period affects what models are trained and chosen on.

A data set is prepared, every row of its test period is then mutated (users, items, categories, behaviours,
times, prices and labels changed; rows dropped; rows added of old and of unknown users and items), and it is
prepared again. Every train and validation artifact must keep its sha256: the matrices, the readable rows
beside them (who was sampled, with which items of which category), the vocabularies, the scalers. The test
split must change, or nothing would have been tested.

This is done twice: for a simulated raw log in Taobao's format, by Taobao's recipe, and for a user's own
table, split by time.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from mtlbench.data.shop import BEHAVIOURS, DAY_SECONDS, START, ShopSettings, events
from mtlbench.home import Home
from mtlbench.load import SPLITS, Prepared
from mtlbench.prepare import prepare, prepare_own
from mtlbench.protocol.check import Finding, Lab

SEED = 700
TEST_FROM = START + 7 * DAY_SECONDS
"""Start of the test period: 2 December, midnight in UTC+8."""
SHOP = ShopSettings(users=120, items=80, categories=12, events_per_day=4.0, seed=SEED)
SAMPLED = 60
TABLE_ROWS = 2000
TABLE_TEST = 200
"""Test rows, the last tenth: a user's own table is split by time at the quantiles .8 and .9."""
CARD = """\
files = "table.csv"
cluster = "user"
time = "at"

[fields]
user = "categorical"
item = "categorical"
price = "numeric"

[tasks]
click = {}
rating = { kind = "regression" }
"""


def a14(lab: Lab) -> list[Finding]:
    """Check both ways of preparing."""
    return list(lab.map(partial(unchanged, lab.home), (LOG, TABLE)))


def mutated_log(log: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the log with every test-period row changed or dropped, and new ones added."""
    early, late = log.filter(pl.col("time") < TEST_FROM), log.filter(pl.col("time") >= TEST_FROM)
    kept = late.filter(pl.Series(rng.random(len(late)) < 0.7))
    mutated = pl.concat([kept, late.sample(len(late) // 2, seed=SEED)])
    rows = len(mutated)
    changed = mutated.with_columns(
        user=_other(mutated["user"], 10_000, rng),
        item=_other(mutated["item"], 10_000, rng),
        category=_other(mutated["category"], 500, rng),
        behaviour=pl.Series(rng.choice(BEHAVIOURS, rows)),
        time=pl.Series(TEST_FROM + rng.integers(2 * DAY_SECONDS, size=rows)),
    )
    return pl.concat([early, changed]).sample(fraction=1.0, shuffle=True, seed=SEED)


def _other(ids: pl.Series, unknown: int, rng: np.random.Generator) -> pl.Series:
    """Return the ids permuted, with a third of them replaced by an unseen one."""
    return pl.Series(np.where(rng.random(len(ids)) < 1 / 3, unknown, rng.permutation(ids.to_numpy())))


def table() -> pl.DataFrame:
    """Return a table of impressions in order of time."""
    rng = np.random.default_rng(SEED)
    return pl.DataFrame(
        {
            "user": rng.integers(100, size=TABLE_ROWS),
            "item": rng.integers(40, size=TABLE_ROWS),
            "price": rng.exponential(10, TABLE_ROWS),
            "at": np.arange(TABLE_ROWS) + START,
            "click": (rng.random(TABLE_ROWS) < 0.4).astype(int),
            "rating": rng.normal(3, 1, TABLE_ROWS),
        }
    )


def mutated_table(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Change every test row of the table; their number stays, since the split is at a quantile of time."""
    late = rows.tail(TABLE_TEST)
    changed = late.with_columns(
        user=_other(late["user"], 9999, rng),
        item=_other(late["item"], 9999, rng),
        price=late["price"] * 1000 + 1,
        at=late["at"] + pl.Series(rng.integers(TABLE_TEST, 10**6, TABLE_TEST)),
        click=1 - late["click"],
        rating=late["rating"] * 100 + 1,
    )
    return pl.concat([rows.head(TABLE_ROWS - TABLE_TEST), changed])


def prepare_log(home: Home, log: pl.DataFrame) -> Prepared:
    """Prepare a sample of the users by Taobao's recipe."""
    file = home.root / "log.csv"
    log.write_csv(file, include_header=False)
    return prepare(home, "taobao", source=[file], options={"users": SAMPLED})


def prepare_table(home: Home, rows: pl.DataFrame) -> Prepared:
    """Prepare a table by a card."""
    rows.write_csv(home.root / "table.csv")
    card = home.root / "my-table.toml"
    card.write_text(CARD, encoding="utf-8")
    return prepare_own(home, card)


@dataclass(frozen=True, slots=True)
class Source:
    """Raw rows, how their test period is mutated, and how they are prepared."""

    what: str
    rows: Callable[[], pl.DataFrame]
    mutate: Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]
    prepare: Callable[[Home, pl.DataFrame], Prepared]


def log() -> pl.DataFrame:
    """Return the log of a simulated shop."""
    return events(SHOP)


LOG = Source("a log in Taobao's format", log, mutated_log, prepare_log)
TABLE = Source("a table of one's own, split by time", table, mutated_table, prepare_table)


def unchanged(home: Home, source: Source) -> Finding:
    """Prepare before and after the mutation, and compare the artifacts."""
    rows = source.rows()
    before = artifacts_of(home, source, rows)
    after = artifacts_of(home, source, source.mutate(rows, np.random.default_rng(SEED)))
    kept = [name for name in before if not name.startswith("test/")]
    changed = [name for name in kept if before[name] != after.get(name)]
    reached = before["test/labels.npy"] != after["test/labels.npy"]
    return Finding(
        check="A14",
        what=f"{source.what}, every test row mutated: train, validation, vocabularies, scalers",
        bound=f"the sha256 of all {len(kept)} artifacts unchanged, that of the test labels another",
        measured=f"{', '.join(changed) or 'none'} changed, the test labels {'too' if reached else 'not'}",
        holds=not changed and reached,
        seeds=f"data and mutation seed {SEED}",
        simulated="exact",
    )


def artifacts_of(home: Home, source: Source, rows: pl.DataFrame) -> dict[str, str]:
    """Return name -> sha256 of the artifacts of preparing these rows."""
    home.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="leakage-", dir=home.root) as folder:
        return artifacts(source.prepare(Home(Path(folder)), rows))


def artifacts(prepared: Prepared) -> dict[str, str]:
    """Return name -> sha256 of each matrix, each split's readable rows, the vocabularies, the scalers."""
    contents: dict[str, bytes] = {}
    for split in SPLITS:
        for file in sorted((prepared.path / split).glob("*.npy")):
            contents[f"{split}/{file.name}"] = file.read_bytes()
        contents[f"{split}/rows"] = (
            pl.read_parquet(prepared.path / f"{split}.parquet").write_ndjson().encode()
        )
    for part in ("vocabularies", "scaling"):
        contents[part] = json.dumps(prepared.manifest[part], sort_keys=True).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
