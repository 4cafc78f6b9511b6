"""The addresses of a dataset's files, tried in turn, and the record of what was downloaded."""

import importlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mtlbench.data.archive import without_packing
from mtlbench.data.card import RemoteFile, Source
from mtlbench.data.download.expected import Expected
from mtlbench.data.download.part import Part
from mtlbench.data.download.resume import Patience, Refused, Resuming
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError
from mtlbench.files import write_json
from mtlbench.provenance import now


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Downloads files to `folder`, with unfinished ones in `scratch`."""

    folder: Path
    scratch: Path
    source: Source
    says: Reporting
    patience: Patience

    def get(self, file: RemoteFile) -> list[str]:
        """Download the file; if no mirror provides it, return the reasons, one line per mirror."""
        failures = []
        for address in sorted(file.addresses, key=lambda a: not self._part(_name_at(file, a)).begun(a)):
            try:
                self._download(file, address)
            except Refused as refused:
                failures.append(f"  {address}: {refused}")
            else:
                return []
        if file.kaggle:
            try:
                self._from_kaggle(file)
            except Refused as refused:
                failures.append(f"  Kaggle, {file.kaggle}: {refused}")
            else:
                return []
        return failures or ["  no address is known"]

    def begun(self, files: Sequence[RemoteFile]) -> int:
        """Return the bytes of these files that are there from earlier tries."""
        return sum(self._part(file.file).size for file in files)

    def say_terms(self) -> None:
        """Print terms and citation, unless this home already has a download under the same terms."""
        if self._recorded()["terms"] != self._terms:
            self.says.report(self._terms)

    @property
    def _terms(self) -> str:
        return f"Terms: {self.source.terms}\nCite: {self.source.cite}"

    @property
    def _record(self) -> Path:
        return self.folder.parent / "downloads.json"

    def _recorded(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"terms": "", "files": {}}
        except ValueError as error:
            raise DataError(f"{self._record} is damaged ({error}). Delete it and try again.") from error
        return found

    def _part(self, name: str) -> Part:
        return Part(self.scratch / f"{name}.part")

    def _download(self, file: RemoteFile, address: str) -> None:
        name = _name_at(file, address)
        expected, part = self._expected(file, name), self._part(name)
        begun = f", going on at {part.size:,} bytes" if part.begun(address) else ""
        about = f" (about {file.bytes / 1e6:,.0f} MB)" if file.bytes and name == file.file else ""
        self.says.report(f"Downloading {address}{about}{begun}")
        Resuming(part, self.says, expected.accept, self.patience).fetch(address)
        self._keep(part.path, expected, address)
        part.drop()

    def _from_kaggle(self, file: RemoteFile) -> None:
        try:
            kagglehub: Any = importlib.import_module("kagglehub")
        except ImportError:
            raise Refused("needs kagglehub: pip install 'mtlbench[kaggle]'") from None
        owner, dataset, *inside = file.kaggle.split("/", 2)
        self.says.report(f"Downloading {file.kaggle} from Kaggle")
        try:
            found = Path(kagglehub.dataset_download(f"{owner}/{dataset}", *inside))
        except Exception as error:  # of many kinds, some of them plain Exceptions
            said = str(error).strip().splitlines() or [""]
            raise Refused(f"{type(error).__name__}: {said[0][:200]}") from error
        lying = [path for path in sorted(found.rglob("*")) if path.is_file()] if found.is_dir() else [found]
        names = (file.file, without_packing(file.file))
        fitting = lying if len(lying) == 1 else [path for path in lying if path.name in names]
        if not fitting:
            there = ", ".join(path.name for path in lying[:10]) or "nothing"
            raise Refused(f"holds no {file.file}, but {there}")
        expected = self._expected(file, _name_at(file, fitting[0].name))
        arrived = self.scratch / expected.name
        arrived.unlink(missing_ok=True)
        try:
            os.link(fitting[0], arrived)  # Kaggle's own cache keeps its file
        except OSError:
            shutil.copyfile(fitting[0], arrived)
        self._keep(arrived, expected, f"kaggle:{file.kaggle}")

    def _expected(self, file: RemoteFile, name: str) -> Expected:
        """Return what is known of the file kept as `name`; the card describes only the published file."""
        published, recorded = name == file.file, self._recorded()["files"].get(name)
        if recorded:
            source = f"{self._record} from the first download; to accept another, delete that entry"
            return Expected(name, source, bytes=recorded["bytes"], sha256=recorded["sha256"])
        return Expected(
            name,
            "the card",
            bytes=file.bytes if published and file.exact else 0,
            sha256=file.sha256.lower() if published else "",
            md5=file.md5.lower() if published else "",
            rows=file.rows,
        )

    def _keep(self, arrived: Path, expected: Expected, address: str) -> None:
        """Check a downloaded file, record it, and move it into place."""
        try:
            sha256 = expected.check(arrived, self.says)
        except Refused:
            arrived.unlink()
            raise
        recorded = {**self._recorded(), "terms": self._terms}
        recorded["files"][expected.name] = {
            "address": address,
            "bytes": arrived.stat().st_size,
            "sha256": sha256,
            "downloaded_at": now(),
        }
        write_json(self._record, recorded)
        arrived.replace(self.folder / expected.name)


def _name_at(file: RemoteFile, address: str) -> str:
    """Return the name under which to keep a file from this address: some mirrors have it unpacked."""
    plain = without_packing(file.file)
    suffix = Path(plain).suffix
    return plain if suffix and urlsplit(address).path.endswith(suffix) else file.file
