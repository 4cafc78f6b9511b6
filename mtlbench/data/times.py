"""Times as logs write them, a number since 1970, and how to name them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from mtlbench.load import SplitName

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Unit of a time since 1970 -> how many of them are a second."""
EARLIEST, LATEST = 3 * 10**8, 19 * 10**8
"""Seconds since 1970 that are taken for a time: July 1979 to March 2030. 2024013123 is none."""


def unit_of(time: float) -> str:
    """Return the unit in which a number is a time between EARLIEST and LATEST, "" if in none."""
    return next((name for name, each in UNITS.items() if EARLIEST <= time / each < LATEST), "")


def moment(time: float, unit: str = "") -> str:
    """Write a time since 1970 as a date (UTC); without a unit, one that is not told by its size as it is."""
    if not (unit := unit or unit_of(time)):
        return f"{time:.15g}"
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time / UNITS[unit])
    return at.strftime("%Y-%m-%d %H:%M:%S")


def span(first: date, last: date, clock: str) -> str:
    """Write the days from the first to the last, by that clock."""
    return f"{first}{f' .. {last}' if last > first else ''} ({clock})"


def periods(cuts: Sequence[float], unit: str = "") -> dict[SplitName, str]:
    """Name the time that each split covers, where validation and test start at `cuts`."""
    first, second = (moment(cut, unit) for cut in cuts)
    return {"train": f"before {first}", "validation": f"{first} to {second}", "test": f"from {second}"}
