"""What a stored number can be traced to: commit, versions, time. Loads neither torch nor Polars."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from mtlbench import __version__


def now() -> str:
    """Return the current time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of mtlbench, Python and these packages."""
    others = {package: _version(package) for package in packages}
    return {"mtlbench": __version__, **others, "python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a build that was not installed: no reason to lose a result
        return "unknown"


@cache
def commit() -> str | None:
    """Return the commit of the checkout this package runs from, with a + if modified; None in a wheel.

    Read once per process: a later pull does not change the code that is running.
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
