"""`mtlbench ui`: MLflow's own server, in a light form, visible only on this machine, and stopped by Ctrl-C.

MLflow itself is not imported here: once its server answers, it is asked which page to open.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import IO

from mtlbench.errors import DataError, MtlbenchError, UsageError
from mtlbench.home import Home
from mtlbench.tracking import USED, VIEW, artifact_folder, own_store, store_file, store_uri, sweep

HOST = "127.0.0.1"
START_SECONDS = 120.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.2


def serve(home: Home, port: int, open_browser: bool, report: Callable[[str], None]) -> int:
    """Show the store of this home in MLflow until Ctrl-C or another signal that ends commands.

    Args:
        home: the home whose runs are shown.
        port: port to listen on, on this machine's loopback interface only.
        open_browser: open the page once it is available.
        report: told that the server starts, then the address once it answers.

    Returns:
        The exit code: 130 after Ctrl-C, 143 after SIGTERM; 0 if `$MLFLOW_TRACKING_URI` names a server, which
        is taken to run already.

    Raises:
        DataError: nothing has been tracked yet.
        UsageError: the port is taken, or MLflow is not installed.
        MtlbenchError: the server ended by itself.
    """
    uri = store_uri(home)
    if uri.startswith(("http://", "https://")):
        _show(_page(uri.rstrip("/")), open_browser, report)
        return 0
    if own_store() and not store_file(home).is_file():
        raise DataError(
            f"Nothing has been tracked in {home.root} yet. Run something first: mtlbench run --method mmoe"
        )
    if find_spec("mlflow") is None or find_spec("flask") is None:
        raise UsageError("The page is MLflow's, which is not installed in full: pip install mlflow")
    _check_port(port)
    sweep(home)
    base = f"http://{HOST}:{port}"
    report("Starting MLflow, which takes some seconds ...")
    with _signals() as caught, tempfile.TemporaryFile() as log:
        server = _start(home, uri, port, log)
        try:
            _wait(server, base, log, caught)
            if not caught:
                _show(_page(base), open_browser, report)
                report("Ctrl-C ends it.")
            while not caught:
                if server.poll() is not None:
                    raise MtlbenchError(f"MLflow's server ended by itself: {_last_words(log)}")
                time.sleep(POLL_SECONDS)
        finally:
            _stop(server)
        return 128 + caught[0]


def _check_port(port: int) -> None:
    if not _free(port):
        other = next((p for p in range(port + 1, min(port + 100, 65536)) if _free(p)), 0)
        hint = f"mtlbench ui --port {other}" if other else "mtlbench ui --port PORT"
        raise UsageError(f"Port {port} of {HOST} is taken. Choose another: {hint}")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":  # on Windows this would share the port with another server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect the signals that end a command, so that none interrupts the start or end of the server.

    The server has its own session, so the SIGHUP of a closed terminal must be handled too.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [signal.signal(number, lambda number, _: caught.append(number)) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _start(home: Home, uri: str, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the server: one worker, no job runner, in a process group that can be ended as a whole."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", uri]
    command += ["--artifacts-destination", artifact_folder(home).as_uri()]
    light = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 2 processes and 0.5 GB instead of 10 and 2.6 GB
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    return subprocess.Popen(
        command,
        env={**os.environ, **light},
        cwd=home.results,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait(server: subprocess.Popen[bytes], base: str, log: IO[bytes], caught: list[int]) -> None:
    """Return when the server answers, or when a signal was caught."""
    deadline = time.monotonic() + START_SECONDS
    while not caught and time.monotonic() < deadline:
        if server.poll() is not None:
            raise MtlbenchError(f"MLflow's server did not start: {_last_words(log)}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=2):
            return
        time.sleep(POLL_SECONDS)
    if not caught:
        raise MtlbenchError(f"MLflow's server gave no answer in {START_SECONDS:.0f} s: {_last_words(log)}")


def _last_words(log: IO[bytes]) -> str:
    """Return the last line of the log that names an error, else the last line."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return next((line for line in reversed(lines) if "Error" in line or "Exception" in line), lines[-1])


def _show(page: str, open_browser: bool, report: Callable[[str], None]) -> None:
    report(page)
    if open_browser:
        webbrowser.open(page)


def _page(base: str) -> str:
    """Return the page of the last used dataset's runs; the list of experiments if mtlbench wrote none."""
    question = json.dumps({"max_results": 1000, "filter": f"tags.`{USED}` LIKE '%'"}).encode()
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/experiments/search", question, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            experiments = json.load(answer).get("experiments", [])
    except (OSError, ValueError):
        experiments = []
    ours = [(e["experiment_id"], {tag["key"]: tag["value"] for tag in e["tags"]}) for e in experiments]
    if not ours:
        return f"{base}/#/experiments"
    newest, tags = max(ours, key=lambda one: int(one[1][USED]))
    view = f"&viewStateShareKey={VIEW}" if f"mlflow.sharedViewState.{VIEW}" in tags else ""
    return f"{base}/#/experiments/{newest}/runs?workflowType=machine_learning{view}"


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server and everything it started: first SIGTERM, then SIGKILL."""
    if os.name == "nt":
        server.terminate()
        server.wait()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _group_lives(server) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _group_lives(server: subprocess.Popen[bytes]) -> bool:
    server.poll()  # reaps it, so that it does not stay a zombie
    try:
        os.killpg(server.pid, 0)
    except ProcessLookupError:
        return False
    return True
