"""A grid that is disturbed in every way we know of ends with the table of one that is not."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.config import Benchmark, fill
from mtlbench.experiment.run import Execution, run
from mtlbench.home import Home
from mtlbench.render import grid
from mtlbench.runs import store
from mtlbench.train import snapshot, step
from tests.conftest import write_prepared

FAULTS, KILLS = 90, 10
GRID = {
    "dataset": "toy",
    "seeds": 2,
    "training": {"epochs": 2, "batch_rows": 64},
    "run": [
        {"method": "single-task", "method_options": {"network": [8], "tower": []}},
        {"method": "hard-sharing", "method_options": {"network": [8], "tower": []}},
        {"method": "hard-sharing", "balancer": "rlw", "method_options": {"network": [8], "tower": []}},
        {"method": "base-rate"},
    ],
}


class PowerCut(BaseException):
    """Nothing catches it, and nobody tidies up."""


FAILURES: Mapping[str, Callable[[], BaseException]] = {
    "disk full": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "disk broken": lambda: OSError(errno.EIO, "Input/output error"),
    "out of memory": lambda: MemoryError(),
    "out of device memory": lambda: torch.OutOfMemoryError("CUDA out of memory."),
    "Ctrl-C": lambda: KeyboardInterrupt(),
    "power cut": lambda: PowerCut(),
}


class Chaos:
    """Counts what is done to the disk and to the models, and lets one of these things fail."""

    def __init__(self) -> None:
        self.calls, self.at, self.kind = 0, -1, ""
        self.dark = False

    def before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """`real`, where it is not its turn to fail."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                self.dark = self.kind == "power cut"
                raise FAILURES[self.kind]()
            return real(*args, **kwargs)

        return wrapped

    def unless_dark(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """What tidies up: after a power cut nothing does."""
        return lambda *args, **kwargs: None if self.dark else real(*args, **kwargs)

    @contextmanager
    def failing(self, kind: str, at: int) -> Iterator[None]:
        """Let the call number `at` from now on fail so."""
        self.calls, self.at, self.kind = 0, at, kind
        try:
            yield
        finally:
            self.at, self.dark = -1, False


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Chaos:
    monkeypatch.setenv(snapshot.EVERY, "0")
    made = Chaos()
    for place, name in (
        (os, "fsync"),
        (Path, "rename"),
        (Path, "replace"),
        (tempfile, "mkdtemp"),
        (tempfile, "mkstemp"),
        (np, "savez_compressed"),
        (store, "save_file"),
        (snapshot, "save_file"),
        (snapshot, "load_file"),
        (step, "take_step"),
    ):
        monkeypatch.setattr(place, name, made.before(getattr(place, name)))
    monkeypatch.setattr(shutil, "rmtree", made.unless_dark(shutil.rmtree))
    monkeypatch.setattr(Path, "unlink", made.unless_dark(Path.unlink))
    return made


def whole_grid(home: Home, said: list[str]) -> dict[str, Any]:
    benchmark = fill(Benchmark, GRID, "stress")
    return run(home, benchmark, Execution(track=False, workers=1), said.append, grid)


def table(home: Home, document: Mapping[str, Any]) -> str:
    """All that came out, as text, but for what is measured in seconds and when it was."""
    results = {Path(one["result"]).parent.name: home.root / one["result"] for one in document["runs"]}
    assert {one["status"] for one in document["runs"]} <= {"done", "reused"}
    summaries = [{k: v for k, v in s.items() if k != "costs"} for s in document["summaries"]]
    stored = {}
    for name, path in results.items():
        data = json.loads(path.read_text())
        kept = {k: data[k] for k in ("run", "metrics", "checkpoint", "history", "guards")}
        scores = sha256((path.parent / "scores.npz").read_bytes()).hexdigest()
        stored[name] = [kept, scores]
    return json.dumps([document["comparisons"], summaries, stored], sort_keys=True)


def rot(home: Home, chance: random.Random) -> None:
    """A finished result loses its end, or a bit of it turns."""
    files = [f for f in home.runs("toy").glob("[!.]*/*") if f.name != "weights.safetensors"]
    if files:
        file = chance.choice(files)
        content = file.read_bytes()
        place = chance.randrange(len(content))
        turned = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        file.write_bytes(content[:place] if chance.random() < 0.5 else turned)


@pytest.mark.slow
def test_ninety_faults_change_no_number_and_lose_none(tmp_path: Path, chaos: Chaos) -> None:
    chance = random.Random(0)
    undisturbed = Home(tmp_path / "undisturbed")
    write_prepared(undisturbed)
    chaos.calls = 0
    expected = table(undisturbed, whole_grid(undisturbed, []))
    calls = chaos.calls
    home = Home(tmp_path / "disturbed")
    write_prepared(home)
    met: Counter[str] = Counter()
    said: list[str] = []
    kinds = [*FAILURES, "rot"]
    while met.total() < FAULTS:
        kind = kinds[met.total() % len(kinds)]
        if kind == "rot":
            rot(home, chance)
            met[kind] += 1
            continue
        with chaos.failing(kind, at=1 + int(calls * chance.random() ** 2)):
            with suppress(PowerCut, KeyboardInterrupt, OSError, MemoryError, torch.OutOfMemoryError):
                whole_grid(home, said)
            met[kind] += chaos.calls >= chaos.at
            ended = chaos.calls < chaos.at
        if ended:  # there was too little left to do for the fault to come
            assert table(home, whole_grid(home, said)) == expected
            shutil.rmtree(home.results)
    assert table(home, whole_grid(home, said)) == expected
    assert min(met.values()) >= FAULTS // len(kinds), met
    assert any("is damaged" in line for line in said)
    assert list(home.training("toy").iterdir()) == []
    assert not list(home.runs("toy").glob(".*"))


@pytest.mark.slow
def test_ten_kills_change_no_number_and_lose_none(tmp_path: Path) -> None:
    """kill -9, SIGTERM and Ctrl-C at a process with two workers; the next one begins at once."""
    chance = random.Random(1)
    homes = {name: Home(tmp_path / name) for name in ("undisturbed", "disturbed")}
    benchmark = tmp_path / "stress.toml"
    lines = ['dataset = "toy"', "seeds = 3", "[training]", "epochs = 30", "batch_rows = 64", "patience = 60"]
    for method in ("single-task", "hard-sharing", "mmoe"):
        lines += ["[[run]]", f'method = "{method}"']
    benchmark.write_text("\n".join(lines))
    args = [sys.executable, "-m", "mtlbench", "run", str(benchmark), "--workers", "2", "--no-track", "--json"]

    def start(name: str) -> subprocess.Popen[str]:
        more = {"MTLBENCH_HOME": str(homes[name].root), snapshot.EVERY: "0.2"}
        return subprocess.Popen(
            args, env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    for home in homes.values():
        write_prepared(home, rows=2000)
    began = time.monotonic()
    document, _ = start("undisturbed").communicate()
    length = time.monotonic() - began
    expected = table(homes["undisturbed"], json.loads(document))
    signals = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT]
    for i in range(KILLS):
        process = start("disturbed")
        time.sleep(length * chance.uniform(0.15, 0.5))
        process.send_signal(signals[i % len(signals)])
        process.communicate()
    document, _ = start("disturbed").communicate()
    assert table(homes["disturbed"], json.loads(document)) == expected
    home = homes["disturbed"]
    assert not home.set_aside("toy").exists()
    assert list(home.training("toy").iterdir()) == []


@pytest.mark.slow
def test_two_processes_on_one_home_train_each_run_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_prepared(home, rows=2000)
    args = [sys.executable, "-m", "mtlbench", "run", "--method", "mmoe", "--method", "hard-sharing"]
    args += ["--seeds", "4", "--workers", "1", "--no-track", "--json", "--epochs", "8"]
    environment = {**os.environ, "MTLBENCH_HOME": str(home.root)}
    both = [
        subprocess.Popen(args, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    documents = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    statuses = [
        {Path(one["result"]).parent.name: one["status"] for one in document["runs"]} for document in documents
    ]
    assert len(statuses[0]) == 12
    trained = Counter(status[name] for name in statuses[0] for status in statuses)
    assert trained == {"done": 12, "reused": 12}
    assert all({a[name], b[name]} == {"done", "reused"} for a, b in [statuses] for name in a)
    assert len({json.dumps(document["comparisons"]) for document in documents}) == 1
