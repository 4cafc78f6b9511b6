"""The page that opens, the ways not to get there, and a server that leaves nothing behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mtlbench.errors import DataError, UsageError
from mtlbench.home import Home
from mtlbench.tracking import USED, store_file
from mtlbench.tracking.ui import serve


@pytest.fixture(autouse=True)
def no_other_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages that a browser was asked to open."""
    pages: list[str] = []
    monkeypatch.setattr("webbrowser.open", pages.append)
    return pages


@contextlib.contextmanager
def server_with(experiments: list[dict[str, Any]]) -> Iterator[str]:
    """A stand-in for a tracking server with these experiments: its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"experiments": experiments}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def experiment(number: str, used: int, **tags: str) -> dict[str, Any]:
    values = {USED: str(used), **tags}
    return {"experiment_id": number, "tags": [{"key": k, "value": v} for k, v in values.items()]}


def test_a_server_that_runs_already_is_opened_on_the_dataset_used_last(
    home: Home, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = {"mlflow.sharedViewState.mtlbench": "{}"}
    with server_with([experiment("7", 99), experiment("8", 100, **view), experiment("9", 10)]) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{address}/")
        said: list[str] = []
        assert serve(home, 5000, True, said.append) == 0
    assert len(said) == 1
    assert said[0].startswith(f"{address}/#/experiments/8/runs?")
    assert said[0].endswith("viewStateShareKey=mtlbench")
    assert opened == said


def test_the_browser_stays_closed_if_told_so(
    home: Home, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_with([]) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        said: list[str] = []
        assert serve(home, 5000, False, said.append) == 0
    assert said == [f"{address}/#/experiments"]
    assert opened == []


def test_without_a_store_the_next_step_is_said(home: Home) -> None:
    with pytest.raises(DataError, match="mtlbench run"):
        serve(home, 5000, False, print)
    assert not home.results.exists()


def test_a_taken_port_is_said_with_another_one(home: Home) -> None:
    store_file(home).parent.mkdir(parents=True)
    store_file(home).touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Port {port} .* taken.*--port \d+"):
            serve(home, port, False, print)


def test_mlflow_without_its_pages_is_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store_file(home).parent.mkdir(parents=True)
    store_file(home).touch()
    monkeypatch.setattr("mtlbench.tracking.ui.find_spec", lambda name: None if name == "flask" else object())
    with pytest.raises(UsageError, match="pip install mlflow"):
        serve(home, 5000, False, print)


SERVE = """
import sys
from pathlib import Path
from mtlbench.home import Home
from mtlbench.tracking.ui import serve
sys.exit(serve(Home(Path(sys.argv[1])), int(sys.argv[2]), False, lambda line: print(line, flush=True)))
"""


def start(home: Home) -> tuple[subprocess.Popen[str], int]:
    """`serve` in a process of its own, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-c", SERVE, str(home.root), str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), port


def children(of: int) -> set[int]:
    """Processes below one, found in /proc."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found = {of}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {of}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a store that has one experiment of ours."""
    home = Home(tmp_path_factory.mktemp("ui"))
    home.results.mkdir()
    code = (
        "from mlflow import MlflowClient; import sys;"
        "client = MlflowClient(sys.argv[1]); client.create_experiment('toy', tags={sys.argv[2]: '1'})"
    )
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", code, f"sqlite:///{store_file(home)}", USED]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return home


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_it_answers_where_it_says_and_leaves_no_process(tracked: Home, number: int, code: int) -> None:
    process, port = start(tracked)
    assert process.stdout is not None
    with process.stdout as out:
        address = next(line for line in out if line.startswith("http")).strip()
        assert re.match(rf"http://127\.0\.0\.1:{port}/#/experiments/1/runs", address)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"MLflow" in page.read()
        below = children(process.pid)
        assert 1 <= len(below) <= 3, "no pool of workers, no job runners"
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert "Traceback" not in out.read()
    assert not {pid for pid in below if Path(f"/proc/{pid}").exists()}
    assert {file.name for file in tracked.results.iterdir()} <= {"mlflow.db", "mlartifacts"}


@pytest.mark.slow
def test_ctrl_c_while_it_starts_leaves_no_process(tracked: Home) -> None:
    process, _ = start(tracked)
    assert process.stdout is not None
    with process.stdout as out:
        assert out.readline().startswith("Starting")
        while not (below := children(process.pid)):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "http" not in out.read()
    assert not {pid for pid in below if Path(f"/proc/{pid}").exists()}


@pytest.mark.slow
def test_a_store_that_mlflow_cannot_read_is_said(home: Home) -> None:
    store_file(home).parent.mkdir(parents=True)
    store_file(home).write_text("this is not a database" * 100)
    process, _ = start(home)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "MLflow's server did not start" in out
    assert "database" in out.splitlines()[-1]
