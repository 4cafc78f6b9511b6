"""Which stored results go together where no benchmark file names them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mtlbench.config import Family, RunSpec, TrainingSettings
from mtlbench.experiment.stored import compare_stored
from mtlbench.files import seal
from mtlbench.home import Home
from mtlbench.load import Prepared
from tests.compare.stored import SCHEMA, save, scores
from tests.conftest import Command

SEEDS = range(3)
NOW = {"method": 2, "balancer": 1, "loop": 4}
START = datetime(2025, 1, 1, tzinfo=UTC)


class Store:
    """A home that is filled with results, each finished a minute after the one before."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._minutes = 0

    def add(self, method: str, revision: Mapping[str, int], seeds: range = SEEDS) -> None:
        for seed in seeds:
            self._minutes += 1
            spec = RunSpec(
                fingerprint="f",
                tasks=SCHEMA.task_names,
                method=method,
                method_options={},
                balancer="equal",
                balancer_options={},
                training=TrainingSettings(),
                seed=seed,
                revision=revision,
            )
            folder = self.home.results / "runs" / "toy" / spec.hash
            result = save(folder, method, seed, scores(seed, {}, len(method)))
            more: dict[str, Any] = {
                "run": spec.to_json(),
                "tasks": list(SCHEMA.task_names),
                "schema": SCHEMA.to_json(),
                "finished_at": (START + timedelta(minutes=self._minutes)).isoformat(),
                "simulated": False,
                "cluster": "user",
                "warnings": [],
            }
            (folder / "result.json").write_text(json.dumps({**result.data, **more}))
            seal(folder)

    def compared(self) -> tuple[list[tuple[str, int, Mapping[str, int]]], str]:
        """Method, seed and revision of what is compared, and what was said."""
        said: list[str] = []
        document = compare_stored(self.home, None, "toy", said.append, Family())
        used = [(r["method"], r["seed"], self._revision(r["result"])) for r in document["runs"]]
        return used, " ".join(said)

    def _revision(self, path: str) -> Mapping[str, int]:
        data = json.loads((self.home.root / path).read_text())
        found: Mapping[str, int] = data["run"]["revision"]
        return found


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home)


@pytest.mark.parametrize("changed", ["method", "balancer"])
def test_seeds_of_an_older_version_of_an_arm_are_left_out(store: Store, changed: str) -> None:
    """Even seeds that the newer version lacks; another arm may be of another version."""
    old = {**NOW, changed: NOW[changed] - 1}
    store.add("single-task", old)
    store.add("mmoe", old, range(5))
    store.add("mmoe", NOW)
    used, said = store.compared()
    assert [u for u in used if u[0] == "mmoe"] == [("mmoe", seed, NOW) for seed in SEEDS]
    assert [u for u in used if u[0] == "single-task"] == [("single-task", seed, old) for seed in SEEDS]
    assert "5 results are left out" in said
    assert "version" in said


def test_no_arm_is_from_another_training_loop_than_the_newest(store: Store) -> None:
    old = {**NOW, "loop": NOW["loop"] - 1}
    store.add("hard-sharing", old)
    store.add("single-task", old)
    store.add("single-task", NOW)
    store.add("mmoe", NOW)
    used, said = store.compared()
    assert {(method, revision["loop"]) for method, _, revision in used} == {("single-task", 4), ("mmoe", 4)}
    assert "6 results are left out" in said


def test_results_of_one_version_are_all_compared_and_nothing_is_said(store: Store) -> None:
    store.add("single-task", NOW)
    store.add("mmoe", NOW)
    used, said = store.compared()
    assert len(used) == 2 * len(SEEDS)
    assert not said


def test_a_benchmark_of_all_tasks_is_not_answered_by_later_runs_of_some(
    mtlbench: Command, toy: Prepared, tmp_path: Path
) -> None:
    file, asked = tmp_path / "floors.toml", ("--workers", "1", "--no-track")
    runs = "".join(f'[[run]]\nmethod = "{method}"\n' for method in ("base-rate", "logistic"))
    file.write_text(f'name = "floors"\ndataset = "toy"\nseeds = 2\n[family]\nbaseline = "base-rate"\n{runs}')
    assert mtlbench("run", str(file), *asked).code == 0
    some = ("--task", "click", "--task", "buy", "--baseline", "base-rate")
    assert (
        mtlbench("run", "--dataset", "toy", "--method", "logistic", "--seeds", "2", *some, *asked).code == 0
    )
    document = json.loads(mtlbench("compare", str(file), "--json").out)
    assert {c["task"] for c in document["comparisons"]} == set(toy.schema.task_names)
