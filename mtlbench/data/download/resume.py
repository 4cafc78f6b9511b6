"""Resumable download of one file over HTTP, usable as a downloader of pooch.

`pooch.retrieve(..., downloader=Resuming(part, ...))` works. The package calls `fetch` instead: while pooch
checks a complete file, it has a temporary name, and is lost if the process is killed meanwhile.
"""

import itertools
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mtlbench.data.archive import GZIP, ZIP, is_page
from mtlbench.data.download.part import Edition, Part, first_byte
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
"""Bytes read at a time; an interruption loses at most this many."""
CONNECT_SECONDS = 10.0
BUSY = (408, 425, 429)
"""Status codes below 500 after which a retry may succeed."""
PAGE = "sends a web page instead of the file (it may ask to log in)"


class Refused(Exception):
    """An address does not provide the file; the message says why."""


class _Again(Exception):
    """A try failed and may be repeated; `wait` is the number of seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits on retries and waits for an address.

    Attributes:
        tries: most tries in a row without new bytes.
        tries_unanswered: the same while the address has never answered, as with an unknown host name.
        stall_seconds: time without a byte after which a connection is considered dead.
        first_wait_seconds: wait after a first failure; each further wait is twice as long.
        longest_wait_seconds: longest single wait. A server that asks for more is given up.
        sleep: function that waits.
    """

    tries: int = 6
    tries_unanswered: int = 2
    stall_seconds: float = 30
    first_wait_seconds: float = 1
    longest_wait_seconds: float = 120
    sleep: Callable[[float], None] = time.sleep


PATIENCE = Patience()


class Resuming:
    """Downloads to a part that survives an interruption, and resumes it at the next call.

    A part is only resumed from its own address, and only if ETag, date and length are unchanged: two mirrors
    may hold different editions.

    Args:
        part: the part, kept if a call fails.
        says: receives progress and messages about waits.
        accept: called with the length of the file, if the server states it, before any byte is read; raises
            Refused if it cannot be right.
        patience: retries and waits.
    """

    def __init__(
        self,
        part: Part,
        says: Reporting,
        accept: Callable[[int], None] = lambda size: None,
        patience: Patience = PATIENCE,
    ) -> None:
        self._part, self._says, self._accept, self._patience = part, says, accept, patience
        self._answered = False

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Download `url` to `output_file`; called by pooch."""
        self.fetch(url)
        os.replace(self._part.path, output_file)
        self._part.drop()

    def fetch(self, url: str) -> None:
        """Complete the part.

        Raises:
            Refused: the address does not provide the file.
            DataError: no space left.
        """
        patience, self._answered = self._patience, False
        most, failures = self._part.begun(url), 0
        while (trouble := self._try(url)) is not None:
            if self._part.begun(url) > most:
                most, failures = self._part.begun(url), 0
            failures += 1
            if failures >= (patience.tries if self._answered else patience.tries_unanswered):
                kept = f"{self._part.begun(url):,} bytes are kept"
                raise Refused(f"{trouble} ({failures} times in a row; {kept})")
            if trouble.wait > patience.longest_wait_seconds:
                raise Refused(f"{trouble}, and asks to wait for {trouble.wait:,.0f} s")
            wait = max(trouble.wait, patience.first_wait_seconds * 2 ** (failures - 1))
            wait = min(wait, patience.longest_wait_seconds)
            self._says.report(f"{url}: {trouble}; again in {wait:.0f} s.")
            patience.sleep(wait)

    def _try(self, url: str) -> _Again | None:
        """Make one request; return None if the part is the whole file now."""
        from requests import exceptions as errors  # installed with pooch; only downloads should load it
        from urllib3.exceptions import HTTPError

        try:
            self._ask(url)
        except _Again as again:
            return again
        except (errors.InvalidSchema, errors.MissingSchema, errors.InvalidURL) as error:
            raise Refused("is no address of the web") from error
        except errors.TooManyRedirects as error:
            raise Refused("leads in a circle") from error
        except (errors.RequestException, HTTPError) as error:
            return _Again(_plain(error, self._patience))
        return None

    def _ask(self, url: str) -> None:
        import requests

        before, start = self._part.edition(), self._part.size
        if before is None or before.address != url or not (before.validator or before.total):
            before, start = None, 0
        elif start and start == before.total:
            return  # already complete: the process was killed before checking it
        headers = {"User-Agent": "mtlbench", "Accept-Encoding": "identity"}
        if before is not None and start:
            headers["Range"] = f"bytes={start}-"
            if before.validator:
                headers["If-Range"] = before.validator
        timeout = (min(CONNECT_SECONDS, self._patience.stall_seconds), self._patience.stall_seconds)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            self._answered = True
            edition = Edition.of(url, answer)
            start = self._start(answer, before, edition, start)
            if edition.total:
                self._accept(edition.total)
            self._check_room(edition.total - start)
            self._write(answer, edition, start)
        if self._part.size < edition.total:
            raise _Again(f"broke off at {self._part.size:,} of {edition.total:,} bytes")

    def _start(self, answer: "requests.Response", before: Edition | None, now: Edition, start: int) -> int:
        """Return the byte at which the response starts, `start` having been requested."""
        status = answer.status_code
        if status in BUSY or status >= 500:
            wait = _retry_after(answer.headers.get("Retry-After", ""))
            raise _Again(f"answers {status} {answer.reason}", wait)
        if status == 200:
            return 0
        if status == 206 and before is not None and start:
            if first_byte(answer) == start and not before.differs(now):
                return start
            self._part.drop()
            raise _Again("holds another file than before")
        if status == 416 and start:
            self._part.drop()
            raise _Again("holds less than it sent before")
        raise Refused(f"answers {status} {answer.reason}")

    def _check_room(self, to_come: int) -> None:
        free = shutil.disk_usage(self._part.path.parent).free
        if to_come > free:
            raise DataError(
                f"No room to download: {to_come / 1e9:,.2f} GB are to come, and {self._part.path.parent} has "
                f"{free / 1e9:,.2f} GB free. Free some, or set MTLBENCH_HOME to a folder on a larger disk."
            )

    def _write(self, answer: "requests.Response", edition: Edition, start: int) -> None:
        """Append the response to the part, or start it anew; bytes are stored as sent, never decoded."""
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


def _retry_after(value: str) -> float:
    """Return the seconds that a server asks to wait, given as a number or a date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0.0, (date - datetime.now(UTC)).total_seconds()) if date.tzinfo else 0


def _plain(error: Exception, patience: Patience) -> str:
    """Describe an error of a network library in a few words."""
    import requests
    from urllib3.exceptions import ReadTimeoutError

    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.ReadTimeout | ReadTimeoutError):
        return f"stalled: nothing came for {patience.stall_seconds:g} s"
    if isinstance(error, requests.ConnectionError):
        return "does not answer"
    return f"the line broke ({type(error).__name__})"
