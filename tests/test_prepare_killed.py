"""Killed at any moment, `prepare` leaves a whole dataset or none, and the next one sweeps up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mtlbench.data.recipe import Reporting
from mtlbench.data.volume import write_volume
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.load import SPLITS, open_prepared
from mtlbench.prepare import prepare

pytestmark = pytest.mark.slow
KILLS = 12


def mtlbench(home: Home, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mtlbench", *args],
        env={**os.environ, "MTLBENCH_HOME": str(home.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_killed_preparation_is_whole_or_not_there(tmp_path: Path) -> None:
    log, home = tmp_path / "log.csv", Home(tmp_path / "home")
    write_volume(300_000, 0, log, Reporting("mtlbench prepare taobao"))
    fresh = prepare(Home(tmp_path / "fresh"), "taobao", source=[log], options={"users": 300})
    arguments = ("prepare", "taobao", "--source", str(log), "--users", "300", "--force")
    began = time.monotonic()
    assert mtlbench(home, *arguments).wait() == 0
    seconds = time.monotonic() - began
    (home.prepared("taobao") / "manifest.json").unlink()  # so that the first one too starts from nothing

    rng, left_something = np.random.default_rng(0), False
    for share in rng.permutation(np.linspace(0.1, 1.05, KILLS)):
        process = mtlbench(home, *arguments)
        time.sleep(share * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        left_something |= any(path.name.startswith(".") for path in (home.datasets / "taobao").iterdir())
        try:
            prepared = open_prepared(home, "taobao")
        except DataError:
            run = mtlbench(home, "run", "--dataset", "taobao", "--method", "mmoe", "--no-track")
            assert run.wait() == 3
        else:
            assert prepared.fingerprint == fresh.fingerprint
            for split in SPLITS:
                opened, expected = prepared.open_split(split), fresh.open_split(split)
                assert np.array_equal(opened.numeric, expected.numeric)
                assert np.array_equal(opened.labels, expected.labels)

    assert left_something  # or the kills came at no interesting moment
    assert mtlbench(home, *arguments).wait() == 0
    assert sorted(path.name for path in (home.datasets / "taobao").iterdir()) == ["prepared"]
    manifest = json.loads((home.prepared("taobao") / "manifest.json").read_text())
    assert manifest["fingerprint"] == fresh.fingerprint
