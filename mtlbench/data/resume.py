"""One file over HTTP that goes on after any break: a downloader in pooch's sense.

`pooch.retrieve(..., downloader=Resuming(part, ...))` works. `download.py` calls `fetch` instead: while pooch
checks a whole file it has it under a temporary name, which is lost when the process is killed meanwhile. Here
the part stays under one name, with a note beside it that says of which edition of which address it is.
"""

import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtlbench.data.recipe import Reporting
from mtlbench.data.unpack import GZIP, ZIP, is_page
from mtlbench.errors import DataError
from mtlbench.home import write_json

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
"""Bytes read at a time; a break loses at most so many."""
PAGE = "sends a web page instead of the file (it may ask to log in)"
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Refused(Exception):
    """An address does not give the file; the message says why."""


class _Again(Exception):
    """It did not work this time; `wait` is for how long the server asks, in seconds."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an address is waited for.

    Attributes:
        tries: in a row that bring nothing new.
        tries_unanswered: the same while the address has not answered at all: a name that nobody knows.
        stall_seconds: without a byte, after which a connection is dead.
        first_wait_seconds: after a failure; each further wait is twice as long.
        longest_wait_seconds: of a single wait. A server that asks for more is given up.
        sleep: waits.
    """

    tries: int = 6
    tries_unanswered: int = 2
    stall_seconds: float = 30
    first_wait_seconds: float = 1
    longest_wait_seconds: float = 120
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class _Edition:
    """Of what a part is the beginning; 0 and empty where the server does not say."""

    address: str
    total: int
    etag: str
    modified: str

    @property
    def validator(self) -> str:
        """For If-Range, which takes no weak ETag."""
        return self.modified if self.etag.startswith("W/") else self.etag or self.modified


class Part:
    """The beginning of a file on disk, and the note about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def edition(self) -> _Edition | None:
        """Of what it is the beginning; None where it is of nothing known."""
        try:
            return _Edition(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, edition: _Edition) -> None:
        """Forget what was there, and be the beginning of this from now on."""
        self.drop()
        write_json(self._note, asdict(edition))

    def drop(self) -> None:
        """Forget what was there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


class Resuming:
    """Downloads to a part that stays after a break, and goes on with it at the next call.

    Only the address that a part came from continues it, and only while ETag, date and length are the same:
    two mirrors may hold different editions.

    Args:
        part: stays where a call fails.
        says: takes progress and the waits.
        accept: takes the length of the file, where the server states it, before any byte is read; raises
            Refused where that cannot be.
        patience: with the address.
    """

    def __init__(
        self,
        part: Part,
        says: Reporting,
        accept: Callable[[int], None] = lambda size: None,
        patience: Patience = Patience(),
    ) -> None:
        self._part, self._says, self._accept, self._patience = part, says, accept, patience
        self._answered = False

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Download `url` to `output_file`: what pooch calls."""
        self.fetch(url)
        os.replace(self._part.path, output_file)
        self._part.drop()

    def fetch(self, url: str) -> None:
        """Make the part whole.

        Raises:
            Refused: the address does not give it.
            DataError: no space left.
        """
        best, failures, self._answered = self._part.size, 0, False
        while (trouble := self._try(url)) is not None:
            if self._part.size > best:
                best, failures = self._part.size, 0
            failures += 1
            patience = self._patience
            if failures >= (patience.tries if self._answered else patience.tries_unanswered):
                raise Refused(f"{trouble} ({failures} times; {self._part.size:,} bytes are kept)")
            wait = max(trouble.wait, patience.first_wait_seconds * 2 ** (failures - 1))
            if trouble.wait > patience.longest_wait_seconds:
                raise Refused(f"{trouble}, and asks to wait for {trouble.wait:,.0f} s")
            wait = min(wait, patience.longest_wait_seconds)
            self._says.report(f"{url}: {trouble}; again in {wait:.0f} s.")
            patience.sleep(wait)

    def _try(self, url: str) -> _Again | None:
        """One request; None when the part is the whole file now."""
        import requests  # pooch brings it; only a download waits for it
        from urllib3.exceptions import HTTPError

        try:
            self._ask(url)
        except _Again as again:
            return again
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise Refused("is no address of the web") from error
        except requests.TooManyRedirects as error:
            raise Refused("leads in a circle") from error
        except (requests.RequestException, HTTPError) as error:
            return _Again(_plain(error, self._patience))
        return None

    def _ask(self, url: str) -> None:
        import requests

        edition, start = self._part.edition(), self._part.size
        if edition is None or edition.address != url or not (edition.validator or edition.total):
            edition, start = None, 0
        if edition is not None and start and start == edition.total:
            return  # whole already: the process was killed before it could be checked
        headers = {"User-Agent": "mtlbench", "Accept-Encoding": "identity"}
        if edition is not None and start:
            headers["Range"] = f"bytes={start}-"
            if edition.validator:
                headers["If-Range"] = edition.validator
        timeout = (min(10.0, self._patience.stall_seconds), self._patience.stall_seconds)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            self._answered = True
            _check_status(answer)
            now = _edition(url, answer)
            if answer.status_code == requests.codes.partial and edition is not None:
                if _first_byte(answer) != start or _differ(edition, now):
                    self._part.drop()
                    raise _Again("holds another file than before")
            elif answer.status_code == requests.codes.requested_range_not_satisfiable and start:
                self._part.drop()
                raise _Again("holds less than it sent before")
            elif answer.status_code == requests.codes.ok:
                start = 0
            else:
                raise Refused(f"answers {answer.status_code}")
            if now.total:
                self._accept(now.total)
            self._check_room(now.total - start)
            self._write(answer, now, start)
        if self._part.size < now.total:
            raise _Again(f"broke off at {self._part.size:,} of {now.total:,} bytes")

    def _check_room(self, to_come: int) -> None:
        free = shutil.disk_usage(self._part.path.parent).free
        if to_come > free:
            raise DataError(
                f"No room to download: {to_come / 1e9:,.2f} GB are to come, and {self._part.path.parent} has "
                f"{free / 1e9:,.2f} GB free. Free some, or set MTLBENCH_HOME to a folder on a larger disk."
            )

    def _write(self, answer: "requests.Response", edition: _Edition, start: int) -> None:
        """Append what comes to the part, or begin it anew; bytes as they come, never decoded."""
        chunks = answer.raw.stream(CHUNK, decode_content=False)
        if start == 0:
            first = next(chunks, b"")
            typed = answer.headers.get("Content-Type", "").startswith("text/html")
            if is_page(first) or (typed and not first.startswith((GZIP, ZIP))):
                raise Refused(PAGE)
            self._part.begin(edition)
            chunks = itertools.chain((first,), chunks)
        with self._part.path.open("ab") as out:
            for chunk in chunks:
                out.write(chunk)
                start += len(chunk)
                self._says.progress("download", start, edition.total)
            out.flush()
            os.fsync(out.fileno())


def _check_status(answer: "requests.Response") -> None:
    status = answer.status_code
    if status in (408, 425, 429) or status >= 500:
        raise _Again(f"answers {status} {answer.reason}", _retry_after(answer.headers.get("Retry-After", "")))
    if 400 <= status != 416:
        raise Refused(f"answers {status} {answer.reason}")


def _retry_after(value: str) -> float:
    """Seconds that a server asks to wait; it gives them, or a date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0.0, (date - datetime.now(UTC)).total_seconds()) if date.tzinfo else 0


def _edition(url: str, answer: "requests.Response") -> _Edition:
    headers = answer.headers
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    length = headers.get("Content-Length", "")
    total = (found[3] if found else "") if answer.status_code == 206 else length
    return _Edition(
        url, int(total) if total.isdecimal() else 0, headers.get("ETag", ""), headers.get("Last-Modified", "")
    )


def _first_byte(answer: "requests.Response") -> int:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _differ(one: _Edition, other: _Edition) -> bool:
    """Whether two answers are about different bytes, as far as both say."""
    pairs: tuple[tuple[Any, Any], ...] = (
        (one.total, other.total),
        (one.etag, other.etag),
        (one.modified, other.modified),
    )
    return any(a and b and a != b for a, b in pairs)


def _plain(error: Exception, patience: Patience) -> str:
    """What a network library says, in a few words."""
    import requests
    from urllib3.exceptions import ReadTimeoutError

    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.ReadTimeout | ReadTimeoutError):
        return f"stalled: nothing came for {patience.stall_seconds:g} s"
    if isinstance(error, requests.ConnectionError):
        return "does not answer"
    return f"the line broke ({type(error).__name__})"
