"""Files and folders are whole or not there."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mtlbench.files import alone_in, atomic_folder, write_json


def test_a_folder_appears_when_its_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "set"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with atomic_folder(target) as folder:
        (folder / "b").write_text("2")
    assert [file.name for file in target.iterdir()] == ["b"]
    assert [entry.name for entry in target.parent.iterdir()] == ["set"], "scratch folders are left"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_broken_block_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "set"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(error), atomic_folder(target) as folder:  # noqa: PT012
        (folder / "b").write_text("2")
        raise error
    assert [file.name for file in target.iterdir()] == ["a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_files_are_synced_by_a_handle_that_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses any other."""
    fcntl, sync, synced = pytest.importorskip("fcntl"), os.fsync, []

    def strict(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            synced.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)
        sync(handle)

    monkeypatch.setattr(os, "fsync", strict)
    with atomic_folder(tmp_path / "set") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "set" / "a").read_text() == "1"
    assert synced == [os.O_RDWR]


def test_json_is_replaced_whole_and_holds_no_nan(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_json(file, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    """Whoever comes second is refused; the folder is free again when the first one dies."""
    hold = (
        "import sys, time; from pathlib import Path; from mtlbench.files import alone_in\n"
        "with alone_in(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    folder = tmp_path / "a" / "b"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(folder)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), alone_in(folder):
            pass
        first.kill()
    with alone_in(folder):
        pass
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("wait", [False, True])
def test_many_that_hold_remove_and_make_a_folder_are_never_two_at_a_time(tmp_path: Path, wait: bool) -> None:
    """Between a look and the removal of what was looked at lies the race of every lock file."""
    folder, inside, seen = tmp_path / "a", 0, []

    def work() -> None:
        nonlocal inside
        done = 0
        while done < 100:
            try:
                with alone_in(folder, wait=wait):
                    inside += 1
                    seen.append(inside)
                    inside -= 1
                    done += 1
                with suppress(OSError):
                    folder.rmdir()
            except BlockingIOError:
                assert not wait
                time.sleep(0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 400
