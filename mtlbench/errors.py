"""What the person at the keyboard can mend: printed without a traceback, with an exit code of its own."""

from collections.abc import Iterable
from difflib import get_close_matches


class MtlbenchError(Exception):
    """Something the user can mend; the message says what was given, what is wrong and the next step."""

    exit_code = 1


class UsageError(MtlbenchError):
    """Wrong use: an unknown name, a bad option, a bad TOML key."""

    exit_code = 2


class DataError(MtlbenchError):
    """Data missing or damaged; the message names the command that mends it."""

    exit_code = 3


class UndefinedMetric(ValueError):
    """A metric has no value here, such as an AUC where all labels are equal."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that nothing has: what was given, a close match, what is known."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")
