import os
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.data.card import Card, RemoteFile, Source, card_of
from mtlbench.data.recipe import Reporting
from mtlbench.data.source import Published, check_file, describe, given_files, lying_in, names, same
from mtlbench.errors import DataError
from mtlbench.home import Home
from tests.data.server import site

SAYS = Reporting("the command")


def card(*files: RemoteFile) -> Card:
    source = Source(page="https://example.org/data", terms="research only.", cite="Somebody", files=files)
    return replace(card_of("set", {}, "datasets/set/card.toml"), source=source)


def put(home: Home, name: str, age: int = 0) -> Path:
    path = home.raw("set") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    os.utime(path, ns=(10**18 - age, 10**18 - age))
    return path


TWO = card(
    RemoteFile(file="train.csv.gz"), RemoteFile(file="test.zip"), RemoteFile(file="more.gz", optional=True)
)


def test_files_are_found_under_their_names_and_those_of_what_is_in_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    train, test = put(home, "Train.csv"), put(home, "test")
    assert Published().find(home, TWO, None, ()) == (train, test)
    newer = put(home, "train.csv.zip", age=-1)
    more = put(home, "more")
    assert Published().find(home, TWO, None, ()) == (newer, test, more)


def test_what_is_half_there_is_not_found(tmp_path: Path) -> None:
    put(Home(tmp_path), "train.csv")
    assert Published().find(Home(tmp_path), TWO, None, ()) == ()


def test_given_files_are_taken_as_they_are(tmp_path: Path) -> None:
    put(Home(tmp_path), "train.csv")
    put(Home(tmp_path), "test.zip")
    assert Published().find(Home(tmp_path), TWO, None, [tmp_path / "x"]) == (tmp_path / "x",)


def test_only_what_is_missing_is_downloaded(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lying = put(home, "train.csv")
    with site() as running:
        address = running.serve("test", b"1\n")
        both = card(RemoteFile(file="train.csv.gz"), RemoteFile(file="test.csv", addresses=(address,)))
        raw = Published().fetch(home, both, None, tmp_path, SAYS)
    assert raw.files == (lying, home.raw("set") / "test.csv")
    assert raw.files[1].read_text() == "1\n"


def test_by_hand_means_all_files(tmp_path: Path) -> None:
    """--source takes the place of the raw folder, so what lies there is named too."""
    put(Home(tmp_path), "Train.csv")
    with pytest.raises(DataError, match=r"prepare set --source Train\.csv --source test\.zip\n"):
        Published().fetch(Home(tmp_path), TWO, None, tmp_path, SAYS)


def test_a_recipe_may_name_its_files_otherwise(tmp_path: Path) -> None:
    class Own(Published):
        def files(self, card: Card, settings: object) -> tuple[RemoteFile, ...]:
            assert card.source is not None
            return (card.source.files[0].filled(category=str(settings)),)

    home = Home(tmp_path)
    books = put(home, "Books.json")
    assert Own().find(home, card(RemoteFile(file="{category}.json.gz")), "Books", ()) == (books,)


def test_signs_in_a_name_are_no_patterns(tmp_path: Path) -> None:
    put(Home(tmp_path), "a1.csv")
    right = put(Home(tmp_path), "a[1].csv")
    assert lying_in(right.parent, names("a[1].csv.gz")) == right


def test_the_newest_fitting_file_is_found(tmp_path: Path) -> None:
    for age, name in enumerate(("new.csv.gz", "old.zip", "notes.txt", ".download-x.zip")):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(10**18 - age, 10**18 - age))
    (tmp_path / "folder.csv").mkdir()
    assert lying_in(tmp_path, ("*.csv", "*.csv.gz", "*.zip")) == tmp_path / "new.csv.gz"
    assert lying_in(tmp_path / "absent", ("*.csv",)) is None


def test_a_given_folder_stands_for_the_files_in_it(tmp_path: Path) -> None:
    inside = tmp_path / "given" / "deep"
    inside.mkdir(parents=True)
    for name in ("given/b.csv", "given/deep/a.csv", "given/.hidden", "c.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "given" / ".cache").mkdir()
    (tmp_path / "given" / ".cache" / "d.csv").write_text("")
    found = given_files([tmp_path / "c.csv", tmp_path / "given", tmp_path / "c.csv"], "the command")
    assert found == (tmp_path / "c.csv", tmp_path / "given/b.csv", inside / "a.csv")


def test_a_given_folder_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder without files\. .*the command"):
        given_files([tmp_path], "the command")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nope\.csv: no such file\. .*the command"):
        check_file(tmp_path / "nope.csv", "the command")
    with pytest.raises(DataError, match=r"nope\.csv: no such file"):
        given_files([tmp_path / "nope.csv"], "the command")
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


def test_two_datasets_may_share_a_raw_folder(tmp_path: Path) -> None:
    class Other(Published):
        raw_of = "set"

    home, other = Home(tmp_path), replace(card(RemoteFile(file="log.csv")), name="other")
    with pytest.raises(DataError, match=r"mtlbench prepare other --source log\.csv\n.*datasets/set/raw"):
        Other().fetch(home, other, None, tmp_path, SAYS)
    log = put(home, "log.csv")
    assert Other().find(home, other, None, ()) == (log,)
