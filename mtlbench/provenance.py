"""What a written number can be traced to: commit, versions, time. Loads neither torch nor Polars."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from mtlbench import __version__


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(*packages: str) -> dict[str, str]:
    """Of mtlbench, of Python and of these installed packages."""
    installed = {package: metadata.version(package) for package in packages}
    return {"mtlbench": __version__, **installed, "python": platform.python_version()}


@cache
def commit() -> str | None:
    """The commit of the checkout this package runs from, with a + if it has been changed; None in a wheel.

    Asked once a process: what is pulled later is not what runs.
    """
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    try:
        answers = [
            subprocess.run(
                ["git", "-C", str(here.parent), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "mtlbench"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return answers[0] + ("+" if answers[1] else "")
