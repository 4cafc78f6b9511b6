"""The beginning of a file on disk, and the note that says of which edition of which address it is."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtlbench.files import write_json

if TYPE_CHECKING:
    import requests

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Edition:
    """What an address held once; 0 and empty where the server does not say."""

    address: str
    total: int
    etag: str
    modified: str

    @classmethod
    def of(cls, address: str, answer: "requests.Response") -> "Edition":
        """What an answer says of the whole file, also where it brings a part of it."""
        headers = answer.headers
        total = headers.get("Content-Length", "")
        if answer.status_code == 206:
            found = _RANGE.fullmatch(headers.get("Content-Range", ""))
            total = found[2] if found else ""
        return cls(
            address,
            int(total) if total.isdecimal() else 0,
            headers.get("ETag", ""),
            headers.get("Last-Modified", ""),
        )

    @property
    def validator(self) -> str:
        """For If-Range, which takes no weak ETag."""
        return self.modified if self.etag.startswith("W/") else self.etag or self.modified

    def differs(self, other: "Edition") -> bool:
        """Whether the two are of different bytes, as far as both say."""
        pairs = (
            (self.total, other.total),
            (self.etag, other.etag),
            (self.modified, other.modified),
        )
        return any(a and b and a != b for a, b in pairs)


def first_byte(answer: "requests.Response") -> int:
    """Where in the file a partial answer begins; -1 where it does not say."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


class Part:
    """A file that is coming."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def edition(self) -> Edition | None:
        """Of what it is the beginning; None where nobody knows."""
        try:
            return Edition(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begun(self, address: str) -> int:
        """Bytes there of what this address holds."""
        edition = self.edition()
        return self.size if edition is not None and edition.address == address else 0

    def begin(self, edition: Edition) -> None:
        """Forget what was there, and be the beginning of this from now on."""
        self.drop()
        write_json(self._note, asdict(edition))

    def drop(self) -> None:
        """Forget what was there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
