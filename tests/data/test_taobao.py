import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.data.card import read_card
from mtlbench.data.recipe import Reporting
from mtlbench.data.taobao import RECIPE, TaobaoSettings, the_log
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.prepare import prepare
from tests.data.logs import lines, random_rows
from tests.data.server import Turn, site

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


def test_without_files_the_log_is_downloaded_once_and_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an address that drops the line at a half; the second preparation finds the file."""
    log = "".join(f"{line}\n" for line in lines(random_rows(21, users=30, items=80, events=2500)))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("UserBehavior.csv", log)
    whole = content.getvalue()
    card = read_card("taobao")
    assert card.source is not None
    said: list[str] = []
    with site() as running:
        address = running.serve("UserBehavior.csv.zip", whole, Turn(cut=len(whole) // 2))
        file = replace(card.source.files[0], addresses=(f"{running.url}/gone", address), kaggle="", rows=2500)
        source = replace(card.source, files=(replace(file, unpacked_bytes=len(log)),), prepared_bytes=0)
        monkeypatch.setattr("mtlbench.prepare.read_card", lambda name: replace(card, source=source))
        first = prepare(Home(tmp_path), "taobao", report=said.append)
        again = prepare(Home(tmp_path), "taobao", options={"seed": "1"}, force=True)
    assert [sent.status for sent in running.sent] == [404, 200, 206]
    assert first.manifest["sources"] == again.manifest["sources"]
    assert first.manifest["sources"][0]["name"] == "UserBehavior.csv.zip"
    assert any(line.startswith("Terms:") and "Zhu et al." in line for line in said)
