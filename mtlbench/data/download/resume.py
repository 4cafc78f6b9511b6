"""One file over HTTP that goes on after any break: a downloader in pooch's sense.

`pooch.retrieve(..., downloader=Resuming(part, ...))` works. The package calls `fetch` instead: while pooch
checks a whole file it has it under a temporary name, which is lost when the process is killed meanwhile.
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
"""Bytes read at a time; a break loses at most so many."""
CONNECT_SECONDS = 10.0
BUSY = (408, 425, 429)
"""Answers below 500 that may be better the next time."""
PAGE = "sends a web page instead of the file (it may ask to log in)"


class Refused(Exception):
    """An address does not give the file; the message says why."""


class _Again(Exception):
    """It did not work this time; `wait` is for how many seconds the server asks."""

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


PATIENCE = Patience()


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
        patience: Patience = PATIENCE,
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
        """One request; None when the part is the whole file now."""
        from requests import exceptions as errors  # pooch brings it; only a download waits for it
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
            return  # whole already: the process was killed before it could be checked
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
        """From which byte on the answer brings the file, `start` having been asked for."""
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


def _retry_after(value: str) -> float:
    """Seconds that a server asks to wait; it gives them, or a date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0.0, (date - datetime.now(UTC)).total_seconds()) if date.tzinfo else 0


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
