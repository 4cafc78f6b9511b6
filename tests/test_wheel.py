"""The built wheel carries all that the program needs, and works in an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_does_the_main_job_in_an_empty_folder(tmp_path: Path) -> None:
    built, site, empty = (tmp_path / name for name in ("built", "site", "empty"))
    empty.mkdir()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    assert not [n for n in names if n.startswith(("tests/", "datasets/", "benchmarks/", "results/"))]
    assert "mtlbench/shipped/benchmarks/demo.toml" in names

    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("MTLBENCH_HOME", None)

    def mtlbench(*args: str) -> str:
        command = [sys.executable, "-c", "import mtlbench.cli as c; c.main()", *args]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, "-c", "import mtlbench; print(mtlbench.__file__)"],
        cwd=empty, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(site), "this tests the checkout, not the wheel"
    assert {row["name"] for row in json.loads(mtlbench("list", "datasets", "--json"))} >= {"shop", "taobao"}
    assert json.loads(mtlbench("prepare", "shop", "--users", "150", "--json"))["simulated"]
    args = ("run", "benchmarks/demo.toml", "--seeds", "2", "--epochs", "1", "--json")
    document = json.loads(mtlbench(*args))
    assert {run["status"] for run in document["runs"]} == {"done"}
    assert (empty / "results" / "mlflow.db").is_file()
