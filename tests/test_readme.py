"""What the README shows of published results is what stands there, and comes from the command beside it."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ZOO = sorted(folder.name for folder in (ROOT / "results" / "zoo").iterdir() if "against" not in folder.name)
MARKS = {"POSITIVE": " **POS**", "NEGATIVE": " **NEG**", "EQUIVALENT": " =", "NO_VERDICT": " ?"}


def read(dataset: str, name: str) -> Any:
    return json.loads((ROOT / "results" / "zoo" / dataset / name).read_text(encoding="utf-8"))


def table(dataset: str) -> list[str]:
    """Gain and verdict of every arm on every task, and its wall time against all single-task models."""
    document = read(dataset, "comparisons.json")
    tasks = document["family"]["tasks"]
    cells = {(c["arm"], c["task"]): c for c in document["comparisons"]}
    times: dict[str, list[float]] = {}
    for run in read(dataset, "runs.json"):
        balanced = run["run"]["balancer"] != "equal"
        arm = run["run"]["method"] + (f" + {run['run']['balancer']}" if balanced else "")
        times.setdefault(arm, []).append(run["costs"]["wall_seconds"])
    alone = fmean(times["single-task"])
    lines = [f"| {dataset} | {' | '.join(tasks)} | time |", f"| --- |{' ---: |' * (len(tasks) + 1)}"]
    for family in (document["family"], *document["other_families"]):
        for arm in family["arms"]:
            gains = [cells[arm, task] for task in tasks]
            shown = " | ".join(f"{c['gain']:+.4f}{MARKS.get(c['verdict'], '')}" for c in gains)
            lines.append(f"| `{arm}` | {shown} | {fmean(times[arm]) / alone:.2f}x |")
    return lines


@pytest.mark.parametrize("dataset", ZOO)
def test_its_table_of_the_zoo_is_the_published_one(dataset: str) -> None:
    assert "\n".join(table(dataset)) in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("dataset", ZOO)
def test_every_method_and_balancer_of_the_benchmark_was_run_on_every_seed(dataset: str) -> None:
    from mtlbench.config import load_benchmark

    benchmark = load_benchmark(ROOT / "benchmarks" / "zoo.toml")
    wanted = {(arm.method, arm.balancer, seed) for arm in benchmark.run for seed in benchmark.seed_numbers}
    runs = [run["run"] for run in read(dataset, "runs.json")]
    assert {(run["method"], run["balancer"], run["seed"]) for run in runs} == wanted
    assert len(runs) == len(wanted)
