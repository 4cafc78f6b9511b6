"""How long a comparison of ten million scored rows takes, and how much memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtlbench.files import seal
from mtlbench.results import FORMAT

ROWS, USERS, SEEDS = 1_000_000, 50_000, 5
"""Test rows, of which two arms with five seeds each score ten million."""
SECONDS, GIGABYTES = 30.0, 4.0
"""The project's bounds. Seen on two busy cores: 2.4 s, 0.2 GB; with ten times the rows 64 s, 1.4 GB."""

CHILD = """
import json, resource, sys, time
from pathlib import Path
from mtlbench.compare import compare
from mtlbench.results import read_result
from mtlbench.schema import Schema, Task
schema = Schema(fields=(), tasks=(Task(name="click"),), cluster="user")
results = [read_result(folder) for folder in sorted(Path(sys.argv[1]).iterdir())]
began = time.perf_counter()
found = compare(results, schema).to_json()["comparisons"]
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "gigabytes": peak / 1e9, "comparisons": found}))
"""


def write_scores(folder: Path) -> None:
    """Two arms of real-looking scores, as runs leave them; nearly no ties, users of unequal size."""
    rng = np.random.default_rng(0)
    cluster = np.sort(rng.integers(0, USERS, (2, ROWS)).min(axis=0)) * 10**9
    taste = rng.normal(size=ROWS).astype(np.float32)
    label = (taste + rng.normal(size=ROWS) > 2).astype(np.float32)
    for method, skill in (("single-task", 0.50), ("mmoe", 0.52)):
        for seed in range(SEEDS):
            noise = np.random.default_rng((seed, len(method))).normal(size=ROWS)
            score = (1 / (1 + np.exp(1 - skill * taste - noise))).astype(np.float32)
            target = folder / f"{method}-{seed}"
            target.mkdir(parents=True)
            arrays = {"label/click": label, "score/click": score, "score_best/click": score}
            np.savez(target / "scores.npz", cluster=cluster, **arrays)  # type: ignore[arg-type]
            run = {"method": method, "balancer": "equal", "seed": seed, "training": {}}
            data = {"format": FORMAT, "dataset": "volume", "fingerprint": "f", "run": run, "metrics": {}}
            (target / "result.json").write_text(json.dumps(data))
            seal(target)


@pytest.mark.slow
def test_ten_million_rows_are_compared_within_seconds_and_little_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scores(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{2 * SEEDS * ROWS:,} rows: {measured['seconds']:.1f} s, {measured['gigabytes']:.2f} GB\n"
        )
    [comparison] = measured["comparisons"]
    assert comparison["verdict"] == "POSITIVE"
    assert comparison["clusters"] > 0.7 * USERS
    assert measured["seconds"] < SECONDS
    assert measured["gigabytes"] < GIGABYTES
