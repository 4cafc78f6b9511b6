import zipfile
from pathlib import Path

import pytest

from mtlbench.data.card import read_card
from mtlbench.data.recipe import Reporting
from mtlbench.data.taobao import RECIPE, TaobaoSettings, the_log
from mtlbench.errors import DataError
from mtlbench.home import Home

SAYS = Reporting("mtlbench prepare taobao --source FILE")


def packed(folder: Path, *members: str) -> Path:
    path = folder / "UserBehavior.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, member)
    return path


def test_the_log_is_the_one_csv_of_the_archive(tmp_path: Path) -> None:
    path = packed(tmp_path, "readme", "data/UserBehavior.csv", "__MACOSX/._UserBehavior.csv")
    assert the_log([path], tmp_path, SAYS).read_text() == "data/UserBehavior.csv"


def test_an_archive_of_two_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"should hold one file to read, it holds a\.csv, b\.csv"):
        the_log([packed(tmp_path, "a.csv", "b.csv")], tmp_path, SAYS)


def test_two_logs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"The log is one file; 2 were given: a\.csv, b\.csv\. .*--source FILE"
    ):
        the_log([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path, SAYS)


@pytest.mark.parametrize("name", ["UserBehavior.csv", "userbehavior_1.CSV", "log.csv.gz", "archive.zip"])
def test_a_log_is_found_under_many_names(tmp_path: Path, name: str) -> None:
    raw = Home(tmp_path).raw("taobao")
    raw.mkdir(parents=True)
    (raw / name).write_text("")
    found = RECIPE.find(Home(tmp_path), read_card("taobao"), TaobaoSettings(), ())
    assert found == (raw / name,)
