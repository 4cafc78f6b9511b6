"""The cost of a command, measured from outside: time, memory, disk."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlbench.errors import MtlbenchError

POLL_SECONDS = 0.2
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(child, 0)
seconds = time.perf_counter() - began
print(os.waitstatus_to_exitcode(status), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""Program that starts a command: peak memory begins at that of the parent process, so it must be small."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one process, from start to end.

    Attributes:
        seconds: wall time; `cpu_seconds` is over all its threads.
        peak_bytes: peak resident memory, memory-mapped files included.
        disk_bytes: peak size of the watched folder.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: int


def measure(arguments: Sequence[str], watched: Path, environment: Mapping[str, str]) -> Cost:
    """Run `python ARGUMENTS` to its end and measure its cost.

    Raises:
        MtlbenchError: the process failed; the message has the end of its stderr.
    """
    with tempfile.TemporaryFile() as words, _Disk(watched) as disk:
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, sys.executable, *arguments],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            start_new_session=True,
        )
        try:
            told, _ = launcher.communicate()
        except BaseException:
            os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()
            raise
        code, seconds, cpu_seconds, peak = (float(figure) for figure in told.split())
        if code:
            words.seek(0)
            said = words.read().decode(errors="replace").strip()[-2000:]
            raise MtlbenchError(f"python {' '.join(arguments)} ended with {code:.0f}: {said}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, cpu_seconds, int(peak) * unit, disk.most)


def disk_bytes(folder: Path) -> int:
    """Return the total size of the files below a folder."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # removed meanwhile
                continue
    return total


class _Disk:
    """Thread that polls the size of a folder; `most` is the largest size seen."""

    def __init__(self, folder: Path) -> None:
        self.most = 0
        self._folder, self._ended = folder, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while True:
            self.most = max(self.most, disk_bytes(self._folder))
            if self._ended.wait(POLL_SECONDS):
                return

    def __enter__(self) -> "_Disk":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
