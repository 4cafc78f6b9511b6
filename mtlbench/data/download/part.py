"""A partial download on disk, and the note that records its address and edition."""

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
    """The version of a file that an address held; 0 and empty where the server does not say."""

    address: str
    total: int
    etag: str
    modified: str

    @classmethod
    def of(cls, address: str, answer: "requests.Response") -> "Edition":
        """Read the edition of the whole file off a response, even a partial one."""
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
        """Value for If-Range, which accepts no weak ETag."""
        return self.modified if self.etag.startswith("W/") else self.etag or self.modified

    def differs(self, other: "Edition") -> bool:
        """Return whether the two editions differ in any value that both state."""
        pairs = (
            (self.total, other.total),
            (self.etag, other.etag),
            (self.modified, other.modified),
        )
        return any(a and b and a != b for a, b in pairs)


def first_byte(answer: "requests.Response") -> int:
    """Return the position in the file at which a partial response begins; -1 if it does not say."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


class Part:
    """An unfinished download."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(path.name + ".json")

    @property
    def size(self) -> int:
        """Number of bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    def edition(self) -> Edition | None:
        """Return the edition that the part belongs to; None if unknown."""
        try:
            return Edition(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begun(self, address: str) -> int:
        """Return the number of bytes on disk that came from this address."""
        edition = self.edition()
        return self.size if edition is not None and edition.address == address else 0

    def begin(self, edition: Edition) -> None:
        """Delete the part, and start a new one of this edition."""
        self.drop()
        write_json(self._note, asdict(edition))

    def drop(self) -> None:
        """Delete the part and its note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
