"""Errors that the user can fix: printed without a traceback, each kind with its own exit code."""

from collections.abc import Iterable
from difflib import get_close_matches


class MtlbenchError(Exception):
    """Something the user can fix; the message says what was given, what is wrong and the next step."""

    exit_code = 1


class UsageError(MtlbenchError):
    """Wrong use: an unknown name, a bad option, a bad TOML key."""

    exit_code = 2


class DataError(MtlbenchError):
    """Data missing or damaged; the message names the command that repairs them."""

    exit_code = 3


MOST_NAMES = 12
"""Maximum number of names that an error lists."""


class UndefinedMetric(ValueError):
    """A metric has no value here, such as an AUC where all labels are equal."""


def unknown(kind: str, name: str, known: Iterable[str], listed: str = "") -> UsageError:
    """Return the error for an unknown name: what was given, a close match, the known names.

    Args:
        kind: kind of thing that was named.
        name: the name as given; case does not matter for a match.
        known: the existing names.
        listed: command that lists all names, given if there are too many for an error; without it the
            closest ones are listed.
    """
    names = sorted(known)
    folded, hint = _folded(names), did_you_mean(name, names)
    if len(names) > MOST_NAMES and listed:
        return UsageError(f"Unknown {kind} {name!r}.{hint} All names: {listed}.")
    nearest = get_close_matches(name.casefold(), folded, n=MOST_NAMES, cutoff=0)
    shown = names if len(names) <= MOST_NAMES else sorted(folded[each] for each in nearest)
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return UsageError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(shown) or 'none'}{more}.")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the closest known name, whatever its case; empty if none is close."""
    folded = _folded(known)
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def _folded(names: Iterable[str]) -> dict[str, str]:
    return {each.casefold(): each for each in sorted(names, reverse=True)}
