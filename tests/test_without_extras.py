"""On a machine that only trains, such as a GPU node, neither Polars nor MLflow need be there."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mtlbench.home import Home
from tests.conftest import write_prepared

ABSENT = ("polars", "mlflow", "pooch", "matplotlib", "torchjd", "cvxpy", "optuna", "ray")
START = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from mtlbench.cli import main
main()
"""


def call(home: Home, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *args],
        env={**os.environ, "MTLBENCH_HOME": str(home.root)},
        capture_output=True,
        text=True,
    )


def test_runs_are_trained_and_compared_with_neither_polars_nor_mlflow(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_prepared(home)
    options = ["--method", "mmoe", "--seeds", "2", "--epochs", "1", "--workers", "1", "--json"]
    done = call(home, "run", *options)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["runs"]) == 4
    assert done.stderr.count("MLflow") == 1, "one warning that there is no tracking"
    again = call(home, "compare", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["comparisons"]
