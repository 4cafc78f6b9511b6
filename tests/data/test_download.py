"""Downloads from a server that misbehaves: each ends in the right file or a plain error."""

import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest

from mtlbench.data.card import RemoteFile, Source
from mtlbench.data.download import download
from mtlbench.data.download.part import Part
from mtlbench.data.download.resume import CHUNK, Patience, Resuming
from mtlbench.data.recipe import Reporting
from mtlbench.errors import DataError
from tests.data.server import Site, Turn, date_in, site

LOG = "".join(f"{random.Random(seed).random()},{seed}\n" for seed in range(40_000)).encode()
FILE = gzip.compress(LOG, mtime=0)
OTHER = gzip.compress(LOG[::-1], mtime=0)
NAME = "log.csv.gz"
PAGE = b"<!DOCTYPE html><title>log in</title>"


@dataclass
class Place:
    """A raw folder, a server, and what was said and waited."""

    site: Site
    folder: Path
    said: list[str] = field(default_factory=list)
    steps: list[tuple[str, int, int]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def get(self, *addresses: str, **known: object) -> Path:
        """Download one file."""
        return self.get_all(RemoteFile(file=NAME, addresses=addresses, **known))[0]  # type: ignore[arg-type]

    def get_all(self, *files: RemoteFile, prepared_bytes: int = 0) -> tuple[Path, ...]:
        source = Source(
            page="https://example.org/data",
            account=True,
            terms="research only.",
            cite="Somebody 2018",
            files=files,
            prepared_bytes=prepared_bytes,
        )
        says = Reporting("", self.said.append, lambda *step: self.steps.append(step))
        patience = Patience(stall_seconds=0.3, tries=4, sleep=self.waits.append)
        return download(files, source, self.folder, "taobao", says, patience)

    @property
    def record(self) -> dict[str, dict[str, str | int]]:
        text = (self.folder.parent / "downloads.json").read_text()
        return json.loads(text)["files"]  # type: ignore[no-any-return]

    @property
    def lying(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with site() as running:
        yield Place(running, tmp_path / "datasets" / "taobao" / "raw")


def test_a_file_comes_whole_and_is_recorded(place: Place) -> None:
    path = place.get(place.site.serve("a", FILE))
    assert path == place.folder / NAME
    assert path.read_bytes() == FILE
    assert place.lying == [NAME]
    assert place.record[NAME]["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert place.record[NAME]["bytes"] == len(FILE)
    assert ("download", len(FILE), len(FILE)) in place.steps
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_is_downloaded_twice(place: Place) -> None:
    address = place.site.serve("a", FILE)
    assert place.get(address) == place.get(address)
    assert len(place.site.sent) == 1


def test_terms_are_printed_once_in_a_home(place: Place) -> None:
    place.get(place.site.serve("a", FILE))
    (place.folder / NAME).unlink()
    place.get(place.site.serve("a", FILE))
    assert [line for line in place.said if "Terms" in line] == ["Terms: research only.\nCite: Somebody 2018"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_dropped_line_is_taken_up_where_it_broke(place: Place, share: float) -> None:
    cut = int(share * len(FILE))
    path = place.get(place.site.serve("a", FILE, Turn(cut=cut)))
    assert path.read_bytes() == FILE
    assert [sent.status for sent in place.site.sent] == [200, 206]
    assert place.site.bytes_sent() <= len(FILE) + CHUNK
    assert place.waits == [1]


def test_a_line_that_drops_again_and_again_is_taken_up_as_long_as_something_comes(place: Place) -> None:
    cuts = [Turn(cut=len(FILE) * tenth // 10) for tenth in range(1, 10)]
    assert place.get(place.site.serve("a", FILE, *cuts)).read_bytes() == FILE
    assert place.waits == [1] * 9


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_server_that_knows_no_ranges_starts_anew(place: Place, share: float) -> None:
    deaf = Turn(deaf=True)
    path = place.get(place.site.serve("a", FILE, Turn(cut=int(share * len(FILE))), always=deaf))
    assert path.read_bytes() == FILE
    assert [sent.status for sent in place.site.sent] == [200, 200]


def test_what_came_stays_for_the_next_run(place: Place) -> None:
    """The line drops at a half and nothing more comes; the next run asks for the rest only."""
    half = len(FILE) // 2
    address = place.site.serve("a", FILE, Turn(cut=half), always=Turn(status=500, body=b""))
    with pytest.raises(DataError, match=r"answers 500 .* bytes are kept"):
        place.get(address)
    place.site.files["/a"].always = Turn()
    assert place.get(address).read_bytes() == FILE
    assert place.site.sent[-1].status == 206
    assert half - CHUNK <= place.site.sent[-1].start <= half
    assert any("going on at" in line for line in place.said)
    assert place.lying == [NAME]


def test_a_stall_is_a_break(place: Place) -> None:
    assert place.get(place.site.serve("a", FILE, Turn(stall=len(FILE) // 3))).read_bytes() == FILE
    assert "stalled: nothing came for 0.3 s; again in 1 s." in "".join(place.said)


def test_a_stall_of_every_answer_ends_in_an_error(place: Place) -> None:
    with pytest.raises(DataError, match=r"stalled.*\(4 times"):
        place.get(place.site.serve("a", FILE, always=Turn(stall=0)))
    assert place.waits == [1, 2, 4]


@pytest.mark.parametrize("off", [100, 100_000])
def test_a_length_that_never_comes_ends_in_an_error(place: Place, off: int) -> None:
    longer = Turn(headers={"Content-Length": str(len(FILE) + off)}, deaf=True)
    with pytest.raises(DataError, match="the line broke"):
        place.get(place.site.serve("a", FILE, always=longer))
    assert NAME not in place.lying
    assert place.get(place.site.serve("a", FILE)).read_bytes() == FILE


def test_a_length_that_is_too_short_is_a_damaged_archive(place: Place) -> None:
    shorter = Turn(headers={"Content-Length": str(len(FILE) - 10)})
    with pytest.raises(DataError, match="sends a damaged file"):
        place.get(place.site.serve("a", FILE, always=shorter))
    assert place.lying == []
    assert place.get(place.site.serve("a", FILE)).read_bytes() == FILE


def test_a_file_of_unstated_length_is_read_to_its_end(place: Place) -> None:
    silent = Turn(headers={"Content-Length": None})
    assert place.get(place.site.serve("a", FILE, always=silent)).read_bytes() == FILE


def test_the_next_mirror_mends_what_the_first_breaks(place: Place) -> None:
    broken = (
        place.site.url + "/gone",
        place.site.serve("page", PAGE, always=Turn(headers={"Content-Type": "text/html"})),
        place.site.serve("half", FILE[: len(FILE) // 2]),
        place.site.serve("text", b"quota exceeded"),
        place.site.serve("empty", b""),
        place.site.serve("cut", FILE, always=Turn(cut=1000)),
        place.site.serve("forbidden", FILE, always=Turn(status=403)),
        "http://127.0.0.1:9/nobody-listens",
        "ftp://example.org/a",
        "example.org/a",
        "http://",
    )
    assert place.get(*broken, place.site.serve("good", FILE)).read_bytes() == FILE
    assert str(place.record[NAME]["address"]).endswith("/good")


def test_when_no_address_works_each_failure_and_the_way_by_hand_are_said(place: Place) -> None:
    page = place.site.serve("page", PAGE)
    typed = place.site.serve("typed", b"Log in!", always=Turn(headers={"Content-Type": "text/html"}))
    with pytest.raises(DataError) as caught:
        place.get(place.site.url + "/gone", page, typed)
    assert str(caught.value) == (
        f"No address gave {NAME}:\n"
        f"  {place.site.url}/gone: answers 404 Not Found\n"
        f"  {page}: sends a web page instead of the file (it may ask to log in)\n"
        f"  {typed}: sends a web page instead of the file (it may ask to log in)\n"
        f"Get {NAME} by hand from https://example.org/data (free, with an account), then: "
        f"mtlbench prepare taobao --source {NAME}\n"
        f"Or put it into {place.folder}, then: mtlbench prepare taobao"
    )
    assert not place.folder.exists()


def test_a_file_behind_a_login_is_asked_for_before_anything_is_downloaded(place: Place) -> None:
    files = (RemoteFile(file="a.csv", addresses=(place.site.serve("a", b"1\n"),)), RemoteFile(file="b.zip"))
    with pytest.raises(DataError, match=r"No address is known that gives b\.zip\.") as caught:
        place.get_all(*files)
    assert "https://example.org/data (free, with an account)" in str(caught.value)
    assert "--source a.csv --source b.zip" in str(caught.value)
    assert place.site.sent == []


def test_an_optional_file_may_be_missing(place: Place) -> None:
    needed = RemoteFile(file="a.csv", addresses=(place.site.serve("a", b"1\n"),))
    optional = RemoteFile(file="b.csv", addresses=(f"{place.site.url}/b",), optional=True)
    assert place.get_all(optional, needed, RemoteFile(file="c", optional=True)) == (place.folder / "a.csv",)
    assert "b.csv is left out" in "".join(place.said)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_how_long_to_wait(place: Place, status: int) -> None:
    busy = [
        Turn(status=status, headers={"Retry-After": "7"}, body=b""),
        Turn(status=status, headers={"Retry-After": date_in(60)}, body=b""),
        Turn(status=status, headers={"Retry-After": "soon"}, body=b""),
    ]
    assert place.get(place.site.serve("a", FILE, *busy)).read_bytes() == FILE
    assert place.waits == [7, pytest.approx(60, abs=3), 4]


def test_nobody_waits_for_hours(place: Place) -> None:
    busy = Turn(status=503, headers={"Retry-After": "7200"}, body=b"")
    path = place.get(place.site.serve("a", FILE, always=busy), place.site.serve("b", FILE))
    assert path.read_bytes() == FILE
    assert place.waits == []


def test_another_edition_is_not_glued_to_the_first(place: Place) -> None:
    """The file changes while the line is down: If-Range brings the new one whole."""
    address = place.site.serve("a", FILE, Turn(cut=len(FILE) // 2))

    def change(seconds: float) -> None:
        place.site.files["/a"].content, place.site.files["/a"].etag = OTHER, '"two"'

    place.waits = _Doing(change)
    assert place.get(address).read_bytes() == OTHER
    assert [sent.status for sent in place.site.sent] == [200, 200]


@pytest.mark.parametrize("etag", ['"two"', None])
def test_another_edition_is_noticed_where_if_range_is_not_known(place: Place, etag: str | None) -> None:
    """By its ETag; by its length where it has none."""
    content = OTHER if etag else OTHER + OTHER
    first = Turn(cut=len(FILE) // 2, headers={"ETag": '"one"' if etag else None})
    address = place.site.serve("a", FILE, first, always=Turn(headers={"ETag": etag}))

    def change(seconds: float) -> None:
        place.site.files["/a"].content = content

    place.waits = _Doing(change)
    assert place.get(address).read_bytes() == content
    assert [sent.status for sent in place.site.sent] == [200, 206, 200]


def test_a_part_beyond_the_end_is_dropped(place: Place) -> None:
    """The file has become shorter than what came of it, and the server says 416."""
    silent: dict[str, str | None] = {"ETag": None}
    address = place.site.serve(
        "a", FILE, Turn(cut=len(FILE) - 10, headers=silent), always=Turn(headers=silent)
    )
    short = gzip.compress(b"1\n")

    def change(seconds: float) -> None:
        place.site.files["/a"].content = short

    place.waits = _Doing(change)
    assert place.get(address).read_bytes() == short
    assert [sent.status for sent in place.site.sent] == [200, 416, 200]


class _Doing(list[float]):
    """Waits that do something once."""

    def __init__(self, what: object) -> None:
        super().__init__()
        self._what = what

    def append(self, wait: float) -> None:
        if not self:
            self._what(wait)  # type: ignore[operator]
        super().append(wait)


def test_a_mirror_does_not_continue_what_another_began(place: Place) -> None:
    first = place.site.serve("a", OTHER, Turn(cut=len(OTHER) // 2), always=Turn(status=404))
    second = place.site.serve("b", FILE)
    assert place.get(first, second).read_bytes() == FILE
    assert place.site.sent[-1].start == 0


def test_what_another_mirror_began_does_not_count_as_progress(place: Place) -> None:
    """A long part from the first; the second drops the line often, each time a little later."""
    first = place.site.serve("a", OTHER, Turn(cut=len(OTHER) * 9 // 10), always=Turn(status=500, body=b""))
    cuts = [Turn(cut=len(FILE) * tenth // 10) for tenth in range(1, 9)]
    assert place.get(first, place.site.serve("b", FILE, *cuts)).read_bytes() == FILE


def test_the_mirror_that_began_goes_on_first(place: Place) -> None:
    first = place.site.serve("a", FILE, Turn(status=404), always=Turn(deaf=True))
    second = place.site.serve("b", FILE, Turn(cut=len(FILE) // 2), Turn(status=404))
    with pytest.raises(DataError, match="answers 404"):
        place.get(first, second)
    assert place.get(first, second).read_bytes() == FILE
    assert place.site.sent[-1].path == "/b"
    assert place.site.sent[-1].status == 206


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_checksum_is_refused(place: Place, kind: str) -> None:
    right = {kind: hashlib.new(kind, FILE).hexdigest().upper()}
    wrong = place.site.serve("a", OTHER)
    with pytest.raises(DataError, match=rf"sends another file: {kind} .*, not .* as in the card"):
        place.get(wrong, **right)
    assert place.lying == []
    assert place.get(wrong, place.site.serve("b", FILE), **right).read_bytes() == FILE


def test_an_exact_length_is_held_to_before_a_byte_is_read(place: Place) -> None:
    with pytest.raises(DataError, match=rf"another file: bytes {len(FILE)}, not 7 as in the card"):
        place.get(place.site.serve("a", FILE), bytes=7, exact=True)
    assert not (place.folder / ".download").exists()
    assert place.get(place.site.serve("a", FILE), bytes=7).read_bytes() == FILE


def test_too_few_rows_are_refused(place: Place) -> None:
    with pytest.raises(DataError, match=r"sends 40,000 lines, too few for the 40,001 rows"):
        place.get(place.site.serve("a", FILE), rows=40_001)
    assert place.get(place.site.serve("a", FILE), rows=40_000).read_bytes() == FILE


@pytest.mark.parametrize("content", [OTHER + OTHER, OTHER[:-4] + OTHER[-4:]])
def test_later_downloads_are_held_to_the_first(place: Place, content: bytes) -> None:
    place.get(place.site.serve("a", FILE)).unlink()
    with pytest.raises(DataError, match=r"sends another file: .*downloads\.json .*delete that entry"):
        place.get(place.site.serve("a", content))
    record = place.folder.parent / "downloads.json"
    data = json.loads(record.read_text())
    del data["files"][NAME]
    record.write_text(json.dumps(data))
    assert place.get(place.site.serve("a", content)).read_bytes() == content


def test_a_mirror_may_have_the_file_unpacked(place: Place) -> None:
    """It is kept under its own name, and is a file of its own for checksum and record."""
    packed = RemoteFile(file=NAME, addresses=(place.site.serve("log.csv", LOG),), sha256="0" * 64)
    assert place.get_all(packed) == (place.folder / "log.csv",)
    assert place.get_all(packed)[0].read_bytes() == LOG
    assert list(place.record) == ["log.csv"]


def test_a_zip_must_open(place: Place) -> None:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("log.csv", LOG)
    whole = content.getvalue()
    half = place.site.serve("half", whole[: len(whole) // 2])
    (path,) = place.get_all(RemoteFile(file="a.zip", addresses=(half, place.site.serve("whole", whole))))
    assert path.read_bytes() == whole


def test_too_little_room_is_said_before_anything_is_downloaded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free(monkeypatch, 5_000_000_000)
    file = RemoteFile(
        file=NAME,
        addresses=(place.site.serve("a", FILE),),
        bytes=906_000_000,
        unpacked_bytes=3_670_000_000,
    )
    expected = (
        r"'taobao' needs about 5\.58 GB of disk \(0\.91 GB to download, 3\.67 GB unpacked, 1\.00 GB prep"
        r"ared\); "
        r".*raw has 5\.00 GB free\. .*MTLBENCH_HOME"
    )
    with pytest.raises(DataError, match=expected):
        place.get_all(file, prepared_bytes=1_000_000_000)
    assert place.site.sent == []
    assert not place.folder.exists()


def test_too_little_room_is_said_when_the_server_tells_the_length(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _free(monkeypatch, 1000)
    with pytest.raises(DataError, match="No room to download"):
        place.get(place.site.serve("a", FILE))


def _free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free))


def test_of_two_at_once_one_downloads(place: Place) -> None:
    address = place.site.serve("a", FILE, Turn(stall=len(FILE) // 2))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(place.get(address))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in found] == [FILE, FILE]
    assert [sent.status for sent in place.site.sent] == [200, 206]
    assert any("Another process is downloading" in line for line in place.said)
    assert place.lying == [NAME]


PROGRAM = """
import sys
from pathlib import Path
from mtlbench.data.card import RemoteFile, Source
from mtlbench.data.download import download
from mtlbench.data.recipe import Reporting

address, folder, name = sys.argv[1:]
file = RemoteFile(file=name, addresses=(address,))
download((file,), Source(page="", terms="", cite="", files=(file,)), Path(folder), "taobao", Reporting(""))
"""


def test_a_killed_download_goes_on_in_the_next_process(place: Place) -> None:
    """kill -9 in the middle: no lock stays behind, and no byte is sent twice but those not yet on disk."""
    half = len(FILE) // 2
    address = place.site.serve("a", FILE, Turn(stall=half))
    command = [sys.executable, "-c", PROGRAM, address, str(place.folder), NAME]
    process = subprocess.Popen(command)
    part = place.folder / ".download" / f"{NAME}.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= half - CHUNK) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part.stat().st_size
    assert half - CHUNK <= kept <= half
    subprocess.run(command, check=True, timeout=60)
    assert (place.folder / NAME).read_bytes() == FILE
    assert place.site.sent[-1].start == kept
    assert place.site.bytes_sent() == half + len(FILE) - kept
    assert place.lying == [NAME]


def test_a_whole_part_is_checked_without_asking_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between the last byte and the end of the check."""
    address = place.site.serve("a", FILE)

    def killed(path: Path, says: Reporting) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mtlbench.data.download.expected.count_lines", killed)
        with pytest.raises(KeyboardInterrupt):
            place.get(address)
    assert place.get(address).read_bytes() == FILE
    assert len(place.site.sent) == 1


def trouble(rng: random.Random) -> Turn:
    """Something that a server may do."""
    somewhere = rng.randrange(len(FILE))
    headers: dict[str, str | None] = {}
    if rng.random() < 0.2:
        headers["Content-Length"] = None
    if rng.random() < 0.2:
        headers["ETag"] = None
    return rng.choice(
        [
            Turn(cut=somewhere, headers=headers),
            Turn(cut=somewhere, deaf=True, headers=headers),
            Turn(headers={"Content-Length": str(somewhere)}, deaf=True),
            Turn(headers={"Content-Length": str(len(FILE) + 1 + somewhere)}),
            Turn(status=rng.choice([429, 500, 503]), body=b"busy", headers={"Retry-After": "1"}),
            Turn(status=404, body=b"gone"),
            Turn(body=PAGE, deaf=True),
            Turn(body=OTHER[:somewhere], deaf=True),
            Turn(body=FILE[:somewhere]),
            Turn(status=206, deaf=True),
        ]
    )


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_servers_do_the_end_is_the_file_or_a_plain_error(place: Place, seed: int) -> None:
    """And once one of them is well again, the next try brings the file."""
    rng = random.Random(seed)
    sha256 = hashlib.sha256(FILE).hexdigest() if rng.random() < 0.5 else ""
    addresses = [place.site.serve(name, FILE, *(trouble(rng) for _ in range(8))) for name in "ab"]
    for _ in range(8):
        try:
            path = place.get(*addresses, sha256=sha256)
        except DataError:
            assert NAME not in place.lying
        else:
            assert path.read_bytes() == FILE
            assert place.lying == [NAME]
            path.unlink()
    for file in place.site.files.values():
        file.turns.clear()
    assert place.get(*addresses, sha256=sha256).read_bytes() == FILE


class _Kaggle(types.ModuleType):
    """Stands for kagglehub: no test reaches the network."""

    def __init__(self, found: Path | Exception) -> None:
        super().__init__("kagglehub")
        self._found = found
        self.asked: list[tuple[str, ...]] = []

    def dataset_download(self, *asked: str) -> str:
        self.asked.append(asked)
        if isinstance(self._found, Exception):
            raise self._found
        return str(self._found)


@pytest.mark.parametrize("inside", ["log.csv", "deep/log.csv.gz"])
def test_kaggle_is_the_last_mirror(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    cache = tmp_path / "cache"
    (cache / inside).parent.mkdir(parents=True)
    (cache / inside).write_bytes(FILE if inside.endswith("gz") else LOG)
    (cache / "readme.md").write_text("more")
    fake = _Kaggle(cache)
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    path = place.get(f"{place.site.url}/gone", kaggle="owner/set")
    assert path.name == Path(inside).name
    assert path.read_bytes() == (cache / inside).read_bytes()
    assert fake.asked == [("owner/set",)]
    assert place.record[path.name]["address"] == "kaggle:owner/set"
    assert place.get(f"{place.site.url}/gone", kaggle="owner/set") == path
    assert len(fake.asked) == 1


def test_one_file_of_a_kaggle_set(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(FILE)
    fake = _Kaggle(tmp_path / NAME)
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    assert place.get(kaggle=f"owner/set/deep/{NAME}").read_bytes() == FILE
    assert fake.asked == [("owner/set", f"deep/{NAME}")]


def test_what_kaggle_cannot_do_is_one_more_failure(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match=r"owner/set: needs kagglehub: pip install 'mtlbench\[kaggle\]'"):
        place.get(kaggle="owner/set")
    monkeypatch.setitem(sys.modules, "kagglehub", _Kaggle(RuntimeError("403 Forbidden\nmore")))
    with pytest.raises(DataError, match="owner/set: RuntimeError: 403 Forbidden\n"):
        place.get(kaggle="owner/set")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "else.csv").write_text("x")
    (tmp_path / "cache" / "more.csv").write_text("x")
    monkeypatch.setitem(sys.modules, "kagglehub", _Kaggle(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"holds no log\.csv\.gz, but else\.csv, more\.csv"):
        place.get(kaggle="owner/set")


def test_it_is_a_downloader_for_pooch(place: Place, tmp_path: Path) -> None:
    import pooch

    address = place.site.serve("a", FILE, Turn(cut=len(FILE) // 2))
    downloader = Resuming(Part(tmp_path / "part"), Reporting(""), patience=Patience(sleep=place.waits.append))
    path = pooch.retrieve(
        address, hashlib.sha256(FILE).hexdigest(), "a.gz", tmp_path / "pooch", downloader=downloader
    )
    assert Path(path).read_bytes() == FILE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pooch"]


def test_a_damaged_record_says_so(place: Place) -> None:
    place.folder.parent.mkdir(parents=True)
    (place.folder.parent / "downloads.json").write_text("{")
    with pytest.raises(DataError, match=r"downloads\.json is damaged .*Delete it"):
        place.get(place.site.serve("a", FILE))
