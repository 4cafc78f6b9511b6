"""What is published is whole, small and can be traced."""

import json
from contextlib import nullcontext
from typing import Any

import pytest

from mtlbench.config import Benchmark, fill
from mtlbench.errors import DataError
from mtlbench.experiment.run import Execution, run
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.publish import publish
from mtlbench.train.loop import REVISION


class Bar:
    """Shows nothing."""

    def rows(self, rows: int) -> None: ...

    def ended(self, outcome: Any) -> None: ...


def benchmark(seeds: int) -> Benchmark:
    values = {
        "name": "small",
        "dataset": "toy",
        "seeds": seeds,
        "training": {"epochs": 1, "batch_rows": 100},
        "run": [{"method": "single-task"}, {"method": "hard-sharing", "family": "architectures"}],
    }
    return fill(Benchmark, values, "small.toml")


def test_a_finished_benchmark_is_published_and_an_unfinished_one_is_not(home: Home, toy: Prepared) -> None:
    command = "mtlbench run small.toml --dataset toy"
    execution = Execution(device="cpu", workers=1, track=False)
    run(home, benchmark(5), execution, print, lambda runs, rows: nullcontext(Bar()))
    folder = publish(home, benchmark(5), "", command, print)
    assert folder == home.results / "small" / "toy"
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "comparisons.json", "runs.json"]
    page = (folder / "README.md").read_text("utf-8")
    assert f"Made by `{command}`, 10 runs with seeds 0, 1, 2, 3, 4" in page
    assert f"Fingerprint `{toy.fingerprint}`" in page
    data = f"- data: toy, fingerprint `{toy.fingerprint[:12]}`"
    assert f"{data}, by `mtlbench prepare toy` from toy.csv, with rows = 600\n" in page
    assert f"; revision of the training loop: {REVISION}\n" in page
    assert "SIMULATED" in page
    assert "## Cost per seed" in page
    runs = json.loads((folder / "runs.json").read_text("utf-8"))
    assert len(runs) == len({one["hash"] for one in runs}) == 10
    assert "history" not in runs[0]
    compared = json.loads((folder / "comparisons.json").read_text("utf-8"))
    assert compared["family"]["name"] == "architectures"
    assert all(c["variance"] for c in compared["comparisons"] if c["gain"] is not None)

    write_json(toy.path / "manifest.json", {**toy.manifest, "fingerprint": "of other data"})
    again = publish(home, benchmark(5), "", command, print, baseline="hard-sharing")
    assert again == folder.parent / "toy-against-hard-sharing"
    page = (again / "README.md").read_text("utf-8")
    assert f"{data}\n" in page, "how other data were prepared says nothing of these"
    assert "Gain over hard-sharing" in page

    with pytest.raises(DataError, match=r"2 runs of small have no result yet.*mtlbench run small.toml"):
        publish(home, benchmark(6), "", command, print)
