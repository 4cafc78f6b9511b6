import gzip
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mtlbench.data.card import Source
from mtlbench.data.recipe import Reporting
from mtlbench.data.source import check_file, describe, download, lying_in, same, unpack
from mtlbench.errors import DataError
from tests.data.logs import SAYS, lines, random_rows

LOG = "\n".join(lines(random_rows(events=3000))).encode() + b"\n"


def packed(folder: Path, **members: bytes) -> Path:
    path = folder / "UserBehavior.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)
    return path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_csv_gz_and_zip_hold_the_same_log(tmp_path: Path, work: Path) -> None:
    (tmp_path / "a.csv").write_bytes(LOG)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(LOG))
    zipped = packed(tmp_path, UserBehavior_csv=LOG)
    for path in (tmp_path / "a.csv", tmp_path / "b.csv.gz", zipped):
        assert unpack(path, work, SAYS).read_bytes() == LOG


def test_content_decides_not_the_name(tmp_path: Path, work: Path) -> None:
    (tmp_path / "misnamed.csv").write_bytes(gzip.compress(LOG))
    assert unpack(tmp_path / "misnamed.csv", work, SAYS).read_bytes() == LOG


def test_what_finders_add_to_an_archive_is_passed_over(tmp_path: Path, work: Path) -> None:
    path = packed(tmp_path, UserBehavior_csv=LOG, MACOSX=b"x", readme=b"y")
    assert unpack(path, work, SAYS).read_bytes() == LOG


def test_an_archive_of_two_logs_is_refused(tmp_path: Path, work: Path) -> None:
    with pytest.raises(DataError, match=r"should hold one CSV, it holds a\.csv, b\.csv"):
        unpack(packed(tmp_path, a_csv=LOG, b_csv=LOG), work, SAYS)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
def test_a_truncated_gz_is_refused(tmp_path: Path, work: Path, kept: float) -> None:
    whole = gzip.compress(LOG)
    (tmp_path / "a.csv.gz").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"a\.csv\.gz is cut short or damaged.*--source FILE"):
        unpack(tmp_path / "a.csv.gz", work, SAYS)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01, 0.0])
def test_a_truncated_zip_is_refused(tmp_path: Path, work: Path, kept: float) -> None:
    path = packed(tmp_path, UserBehavior_csv=LOG)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(DataError, match=r"UserBehavior\.csv\.zip is cut short or damaged.*--source FILE"):
        unpack(path, work, SAYS)


@pytest.mark.parametrize("pack", ["gz", "zip"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, work: Path, pack: str) -> None:
    path = tmp_path / "a.csv.gz"
    if pack == "zip":
        path = packed(tmp_path, UserBehavior_csv=LOG)
    else:
        path.write_bytes(gzip.compress(LOG))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="cut short or damaged"):
        unpack(path, work, SAYS)


def test_a_web_page_is_called_one(tmp_path: Path, work: Path) -> None:
    (tmp_path / "UserBehavior.csv.zip").write_text("<!DOCTYPE html><title>log in</title>")
    with pytest.raises(DataError, match="is a web page, not a log"):
        unpack(tmp_path / "UserBehavior.csv.zip", work, SAYS)


def test_the_newest_fitting_file_is_found(tmp_path: Path) -> None:
    for age, name in enumerate(("new.csv.gz", "old.zip", "notes.txt", ".download-x.zip")):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(10**18 - age, 10**18 - age))
    (tmp_path / "folder.csv").mkdir()
    assert lying_in(tmp_path, ("*.csv", "*.csv.gz", "*.zip")) == tmp_path / "new.csv.gz"
    assert lying_in(tmp_path / "absent", ("*.csv",)) is None


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nope\.csv: no such file\. .*the command"):
        check_file(tmp_path / "nope.csv", "the command")
    with pytest.raises(DataError, match="is a folder; give the file in it"):
        check_file(tmp_path, "the command")


def test_a_source_is_known_again_by_its_bytes(tmp_path: Path) -> None:
    """Touched: the same. Other bytes of the same size: not."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"one")
    described = describe(path, SAYS)
    os.utime(path, ns=(1, 1))
    assert same(path, described, SAYS)
    path.write_bytes(b"two")
    assert not same(path, described, SAYS)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/cut.zip":  # says 1000 bytes, sends 10
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"PK\x03\x04 cut ")
        else:
            super().do_GET()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine: whole.zip, half.zip, page.zip, cut.zip."""
    folder = tmp_path / "site"
    folder.mkdir()
    packed(folder, UserBehavior_csv=LOG).rename(folder / "whole.zip")
    whole = (folder / "whole.zip").read_bytes()
    (folder / "half.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "page.zip").write_text("<html>Please log in</html>")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def source(site: str, *files: str) -> Source:
    return Source(
        page="https://example.org/dataset",
        file="UserBehavior.csv.zip",
        bytes=10_000,
        addresses=tuple(f"{site}/{file}" for file in files),
        terms="research only.",
        cite="Somebody 2018",
    )


def test_a_download_passes_over_what_is_no_archive(tmp_path: Path, work: Path, site: str) -> None:
    """Missing, a page, half an archive, a broken connection: the next address is tried; the last works."""
    said: list[str] = []
    steps: list[tuple[str, int, int]] = []
    says = Reporting("", said.append, lambda *step: steps.append(step))
    mirrors = source(site, "gone.zip", "page.zip", "half.zip", "cut.zip", "whole.zip")
    path = download(mirrors, tmp_path / "raw", "taobao", says)
    assert path == tmp_path / "raw" / "UserBehavior.csv.zip"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert unpack(path, work, SAYS).read_bytes() == LOG
    assert "research only." in said[-1]
    assert "Somebody 2018" in said[-1]
    assert steps[-1] == ("download", path.stat().st_size, path.stat().st_size)


def test_when_no_address_works_the_way_by_hand_is_said(tmp_path: Path, site: str) -> None:
    with pytest.raises(DataError) as caught:
        download(source(site, "gone.zip", "page.zip"), tmp_path / "raw", "taobao", SAYS)
    message = str(caught.value)
    for part in ("gone.zip", "page.zip", "https://example.org/dataset", "UserBehavior.csv.zip"):
        assert part in message
    assert message.endswith("mtlbench prepare taobao --source UserBehavior.csv.zip")
    assert not (tmp_path / "raw").exists()
