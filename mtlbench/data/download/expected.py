"""Expected properties of a raw file, from its card or from the first download."""

from dataclasses import dataclass
from pathlib import Path

from mtlbench.data.archive import BLOCK, GZIP, ZIP, is_page
from mtlbench.data.download.resume import PAGE, Refused
from mtlbench.data.recipe import Reporting
from mtlbench.data.unpack import count_lines
from mtlbench.errors import DataError

_PACKED = {".gz": GZIP, ".tgz": GZIP, ".zip": ZIP}


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected properties of a raw file; 0 and empty mean unknown.

    Attributes:
        name: name under which the file is kept.
        source: origin of these values, for messages.
        bytes: exact size.
        sha256, md5: checksums in lower case.
        rows: fewest rows in it.
    """

    name: str
    source: str
    bytes: int = 0
    sha256: str = ""
    md5: str = ""
    rows: int = 0

    def accept(self, size: int) -> None:
        """Raise Refused if the file cannot have this length."""
        self._same("bytes", size, self.bytes)

    def check(self, path: Path, says: Reporting) -> str:
        """Check a file and return its sha256; without a known checksum, read the file to its end.

        Raises:
            Refused: the file is not as expected.
        """
        from pooch import file_hash  # loads requests too: only downloads should pay for that

        with path.open("rb") as stream:
            head = stream.read(BLOCK)
        if not head:
            raise Refused("sends nothing")
        if is_page(head):
            raise Refused(PAGE)
        suffix = Path(self.name).suffix.lower()
        if not head.startswith(_PACKED.get(suffix, b"")):
            raise Refused(f"sends something that is no {suffix} file")
        self.accept(path.stat().st_size)
        if self.md5:
            self._same("md5", file_hash(str(path), alg="md5"), self.md5)
        sha256: str = file_hash(str(path), alg="sha256")
        self._same("sha256", sha256, self.sha256)
        if not (self.sha256 or self.md5):
            self._check_content(path, says)
        return sha256

    def _same(self, what: str, found: str | int, wanted: str | int) -> None:
        if wanted and found != wanted:
            raise Refused(f"sends another file: {what} {found}, not {wanted} as in {self.source}")

    def _check_content(self, path: Path, says: Reporting) -> None:
        try:
            lines = count_lines(path, says)
        except DataError as error:
            raise Refused(f"sends a damaged file ({error.__cause__ or error})") from error
        if lines < self.rows:
            raise Refused(f"sends {lines:,} lines, too few for the {self.rows:,} rows of the card")
