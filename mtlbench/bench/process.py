"""What a command costs, measured from outside: time, memory, disk."""

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
"""A process's peak of memory begins at that of the process that started it, so a small one starts it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process, from start to end.

    Attributes:
        seconds: wall time; `cpu_seconds` over all its threads.
        peak_bytes: of resident memory, what it maps included.
        disk_bytes: the most that lay below the folder watched.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: int


def measure(arguments: Sequence[str], watched: Path, environment: Mapping[str, str]) -> Cost:
    """Run `python ARGUMENTS` to its end.

    Raises:
        MtlbenchError: it failed; with its last words.
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
    """What lies below a folder."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # gone meanwhile
                continue
    return total


class _Disk:
    """Looks again and again at how much lies below a folder; `most` is the most of all."""

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
