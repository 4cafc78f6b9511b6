"""Archives: what is in them comes out, and nothing else happens, whatever they are."""

import bz2
import contextlib
import gzip
import io
import random
import shutil
import stat
import tarfile
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mtlbench.data import archive
from mtlbench.data import unpack as unpacking
from mtlbench.data.recipe import Reporting
from mtlbench.data.unpack import count_lines, unpack, unpack_one
from mtlbench.errors import DataError

SAYS = Reporting("mtlbench prepare x --source FILE")
LOG = "".join(f"{random.Random(seed).random()},{seed}\n" for seed in range(20_000)).encode()
OTHER = b"a\nb"


def zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(members: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for info in more:
            packed.addfile(info)
    return out.getvalue()


def tar_gz(members: Mapping[str, bytes], *more: tarfile.TarInfo) -> bytes:
    return gzip.compress(tarred(members, *more))


Pack = Callable[[Mapping[str, bytes]], bytes]
PACKS: dict[str, Pack] = {"zip": zipped, "tar": tarred, "tar.gz": tar_gz}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def write(folder: Path, name: str, content: bytes | bytearray) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_what_is_not_packed_is_left_where_it_is(tmp_path: Path, work: Path) -> None:
    path = write(tmp_path, "a.csv", LOG)
    assert unpack(path, work, SAYS) == [path]
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv", "a.GZ", "a.part"])
def test_a_gz_is_told_by_content_not_by_name(tmp_path: Path, work: Path, name: str) -> None:
    (found,) = unpack(write(tmp_path, name, gzip.compress(LOG)), work, SAYS)
    assert found.read_bytes() == LOG
    assert found.name == name.lower().removesuffix(".gz")


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.csv", "a"])
def test_an_archive_is_told_by_content_not_by_name(tmp_path: Path, work: Path, pack: Pack, name: str) -> None:
    found = unpack(write(tmp_path, name, pack({"x/b.csv": LOG, "a.csv": OTHER})), work, SAYS)
    assert [path.relative_to(path.parents[0 if path.name == "a.csv" else 1]) for path in found] == [
        Path("x/b.csv"),
        Path("a.csv"),
    ]
    assert [path.read_bytes() for path in found] == [LOG, OTHER]


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path, work: Path) -> None:
    inner = zipped({"b.csv": LOG})
    found = unpack(write(tmp_path, "a", tarred({"a.csv": OTHER, "b.zip": inner})), work, SAYS)
    assert [file.read_bytes() for file in found] == [OTHER, inner]


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_equal_names_in_folders_and_archives_do_not_meet(tmp_path: Path, work: Path, pack: Pack) -> None:
    path = write(tmp_path, "a", pack({"train/data.csv": b"1", "test/data.csv": b"2"}))
    again = write(tmp_path, "b", pack({"train/data.csv": b"3"}))
    found = [*unpack(path, work, SAYS), *unpack(again, work, SAYS)]
    assert [file.read_bytes() for file in found] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_only_what_is_wanted_is_unpacked(tmp_path: Path, work: Path, pack: Pack) -> None:
    path = write(tmp_path, "a", pack({"a.csv": LOG, "readme.txt": b"x", "d/c.csv": OTHER}))
    found = unpack(path, work, SAYS, lambda name: name == "d/c.csv")
    assert [file.read_bytes() for file in found] == [OTHER]
    assert len([file for file in work.rglob("*") if file.is_file()]) == 1


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_what_finder_adds_and_dot_files_are_passed_over(tmp_path: Path, work: Path, pack: Pack) -> None:
    more = {"__MACOSX/._a.csv": b"x", ".DS_Store": b"x", "d/.git/c": b"x", "./a.csv": LOG}
    found = unpack(write(tmp_path, "a", pack(more)), work, SAYS)
    assert [file.read_bytes() for file in found] == [LOG]


def test_a_gz_leaves_nothing_to_choose(tmp_path: Path, work: Path) -> None:
    path = write(tmp_path, "download", gzip.compress(LOG))
    assert unpack(path, work, SAYS, lambda name: name.endswith(".csv"))[0].read_bytes() == LOG


def test_nothing_wanted_in_it_is_an_error(tmp_path: Path, work: Path) -> None:
    path = write(tmp_path, "a.zip", zipped({"b.txt": LOG, "c.txt": LOG}))
    with pytest.raises(
        DataError, match=r"holds no file that is needed, but b\.txt, c\.txt\. .*--source FILE"
    ):
        unpack(path, work, SAYS, lambda name: name.endswith(".csv"))
    with pytest.raises(DataError, match="but nothing"):
        unpack(write(tmp_path, "b.zip", zipped({})), work, SAYS)


def test_one_file_is_one_file(tmp_path: Path, work: Path) -> None:
    path = write(tmp_path, "a.zip", zipped({"b.csv": LOG, "c.csv": OTHER}))
    assert unpack_one(path, work, SAYS, lambda name: name == "b.csv").read_bytes() == LOG
    with pytest.raises(DataError, match=r"should hold one file to read, it holds b\.csv, c\.csv"):
        unpack_one(path, work, SAYS)


def test_progress_is_in_packed_bytes(tmp_path: Path, work: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    path = write(tmp_path, "a.gz", gzip.compress(LOG))
    unpack(path, work, Reporting("", progress=lambda *step: steps.append(step)))
    assert steps[-1] == ("unpack", path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01, 0.0])
@pytest.mark.parametrize("name", ["gz", *PACKS])
def test_an_archive_cut_short_is_refused(tmp_path: Path, work: Path, name: str, kept: float) -> None:
    members = {"a.csv": LOG, "b.csv": LOG[::-1]}
    whole = gzip.compress(LOG) if name == "gz" else PACKS[name](members)
    if name == "tar":  # it ends in kilobytes of zeros, of which one block is enough
        whole = whole.rstrip(b"\0")
    path = write(tmp_path, f"a.{name}", whole[: int(len(whole) * kept)])
    for read in (lambda: unpack(path, work, SAYS), lambda: count_lines(path, SAYS)):
        with pytest.raises(DataError, match=rf"a\.{name} is cut short or damaged.*--source FILE"):
            read()


@pytest.mark.parametrize("name", ["gz", "zip", "tar.gz"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, work: Path, name: str) -> None:
    members = {"a.csv": LOG, "b.csv": LOG[::-1]}
    content = bytearray(gzip.compress(LOG) if name == "gz" else PACKS[name](members))
    content[len(content) // 2] ^= 1
    with pytest.raises(DataError, match="cut short or damaged"):
        unpack(write(tmp_path, f"a.{name}", content), work, SAYS)


def test_damage_after_the_files_that_are_wanted_is_noticed(tmp_path: Path, work: Path) -> None:
    content = bytearray(tar_gz({"a.csv": OTHER, "b.csv": LOG}))
    content[-5] ^= 1  # of the checksum at the end
    with pytest.raises(DataError, match="cut short or damaged"):
        unpack(write(tmp_path, "a.tgz", content), work, SAYS, lambda name: name == "a.csv")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>log in</title>", b"\xef\xbb\xbf\r\n <html>"])
def test_a_web_page_is_called_one(tmp_path: Path, work: Path, page: bytes) -> None:
    with pytest.raises(DataError, match="is a web page, not data"):
        unpack(write(tmp_path, "UserBehavior.csv.zip", page), work, SAYS)


def test_a_password_and_a_foreign_packing_are_said(tmp_path: Path, work: Path) -> None:
    content = bytearray(zipped({"a.csv": LOG}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    with pytest.raises(DataError, match=r"cannot be unpacked here \(.*password.*Unpack it by hand"):
        unpack(write(tmp_path, "a.zip", content), work, SAYS)
    with pytest.raises(DataError, match=r"packed as bzip2, which is not read here\. Unpack it by hand"):
        unpack(write(tmp_path, "a.bz2", bz2.compress(LOG)), work, SAYS)


HOSTILE = (
    "../a",
    "/a",
    "a/../../b",
    "..\\a",
    "C:\\a",
    "C:a",
    "\\\\server\\a",
    "//a/b",
    "..",
    "x" * 300,
    "a/" * 30 + "b",
)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_out_are_refused(tmp_path: Path, work: Path, pack: Pack, name: str) -> None:
    with pytest.raises(DataError, match=r"is not unpacked: .*leads out of the folder, or is no name"):
        unpack(write(tmp_path, "a", pack({"good.csv": OTHER, name: OTHER})), work, SAYS)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "work"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, work: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("a.csv")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match=r"'a\.csv' is a link or a device"):
        unpack(write(tmp_path, "a.tar", tarred({}, info)), work, SAYS)


def test_a_link_in_a_zip_is_refused(tmp_path: Path, work: Path) -> None:
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"'a\.csv' is a link"):
        unpack(tmp_path / "a.zip", work, SAYS)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a", "./a"), ("d/a", "d//a")])
def test_two_members_in_one_place_are_refused(tmp_path: Path, work: Path, names: tuple[str, str]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name in names:
            packed.addfile(tarfile.TarInfo(name))
    with pytest.raises(DataError, match="is in it twice"):
        unpack(write(tmp_path, "x.tar", out.getvalue()), work, SAYS)


@pytest.mark.parametrize("name", ["gz", "zip", "tar.gz"])
def test_a_bomb_stops_before_it_fills_the_disk(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Zeros pack a thousand to one, tables never: only so much is written (here: 4 MB are called small)."""
    monkeypatch.setattr(unpacking, "SMALL", 1 << 22)
    zeros = bytes(1 << 24)
    bomb = gzip.compress(zeros) if name == "gz" else PACKS[name]({"a": zeros, "b": zeros})
    with pytest.raises(DataError, match=r"is not unpacked: .*no table packs so well"):
        unpack(write(tmp_path, "a", bomb), work, SAYS)
    assert sum(path.stat().st_size for path in work.rglob("*") if path.is_file()) <= 5 << 20


def test_a_table_that_packs_well_is_no_bomb(tmp_path: Path, work: Path) -> None:
    sparse = b"0,0,0,0,1\n" * 1_000_000
    assert unpack(write(tmp_path, "a.gz", gzip.compress(sparse)), work, SAYS)[0].stat().st_size == len(sparse)


def test_a_size_that_is_a_lie_is_damage(tmp_path: Path, work: Path) -> None:
    content = zipped({"a.csv": LOG})
    lie = (1000).to_bytes(4, "little")
    content = content.replace(len(LOG).to_bytes(4, "little"), lie)
    with pytest.raises(DataError, match="cut short or damaged"):
        unpack(write(tmp_path, "a.zip", content), work, SAYS)


def test_too_many_members_are_refused(tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 5)
    with pytest.raises(DataError, match="more than 5 files"):
        unpack(write(tmp_path, "a.zip", zipped({str(n): b"" for n in range(6)})), work, SAYS)


@pytest.mark.parametrize("pack", [zipped, tar_gz])
def test_a_full_disk_is_said_before_it_is_full(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch, pack: Pack
) -> None:
    path = write(tmp_path, "a", pack({"a.csv": LOG}))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=unpacking.LEAST_FREE))
    with pytest.raises(DataError, match=r"No room to unpack .*MTLBENCH_HOME"):
        unpack(path, work, SAYS)


@pytest.mark.parametrize(("content", "lines"), [(b"a\nb", 2), (b"a\nb\n", 2), (b"a", 1), (b"\n\n", 2)])
def test_lines_are_counted_packed_or_not(tmp_path: Path, content: bytes, lines: int) -> None:
    packed = [gzip.compress(content), *(pack({"a": content, "b": content}) for pack in PACKS.values())]
    assert count_lines(write(tmp_path, "a", content), SAYS) == lines
    assert [count_lines(write(tmp_path, "a", p), SAYS) for p in packed] == [lines, *[2 * lines] * 3]


NAMES = st.text(
    st.sampled_from(["a", "b", ".", "/", "\\", ":", "C", " ", "\x01", "é", "\u202e", "~", "*"]), max_size=8
)


@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True), kind=st.sampled_from(sorted(PACKS)))
@example(names=["a", "..a", "a..", "..."], kind="zip")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_names_nothing_is_written_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], kind: str
) -> None:
    """Either every file comes out with its content, within the folder, or a plain error."""
    top = tmp_path_factory.mktemp("names")
    (top / "work").mkdir()
    path = write(top, "a", PACKS[kind]({name: name.encode() for name in names}))
    try:
        found = unpack(path, top / "work", SAYS)
    except DataError:
        found = []
    assert all((top / "work").resolve() in file.resolve().parents for file in found)
    contents = {file.read_bytes() for file in found}
    assert len(contents) == len(found)
    assert contents <= {name.encode() for name in names}
    outside = [p for p in top.rglob("*") if not p.is_relative_to(top / "work")]
    assert outside == [path]
    shutil.rmtree(top)


SEEDS = [gzip.compress(LOG[:200]), *(pack({"a.csv": LOG[:100], "d/b.csv": OTHER}) for pack in PACKS.values())]


@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=4)), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_whatever_the_bytes_the_end_is_a_file_or_a_plain_error(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, edits: list[tuple[float, bytes]]
) -> None:
    top = tmp_path_factory.mktemp("bytes")
    content = bytearray(seed)
    for place, new in edits:
        at = int(place * len(content))
        content[at : at + len(new)] = new
    path = write(top, "a.zip" if seed[:2] == b"PK" else "a", content)
    for read in (lambda: unpack(path, top, SAYS), lambda: count_lines(path, SAYS)):
        with contextlib.suppress(DataError):
            read()
    shutil.rmtree(top)
