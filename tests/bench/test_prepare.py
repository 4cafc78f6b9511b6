"""The benchmark of `prepare` on logs of a second; what it writes, not how fast it is."""

import json
import platform
from typing import Any

import pytest

from mtlbench.bench.prepare import bench_prepare, markdown
from mtlbench.data.recipe import Reporting
from mtlbench.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    bench_prepare(home, [40_000, 20_000], 0.5, 0, Reporting("mtlbench bench prepare"))
    return home


@pytest.fixture(scope="module")
def document(home: Home) -> dict[str, Any]:
    text = (home.results / "speed" / "prepare.json").read_text()
    read: dict[str, Any] = json.loads(text)
    return read


def test_every_log_is_measured_and_nothing_of_it_stays(home: Home, document: dict[str, Any]) -> None:
    assert [one["events"] for one in document["logs"]] == [20_000, 40_000]
    for one in document["logs"]:
        assert one["users"] == round(one["events"] / 101.4 / 2)
        assert one["rows"] == 5 * one["groups"] > 0
        assert one["matrix_bytes"] / one["rows"] == pytest.approx(135, abs=5)
        assert one["prepared_bytes"] > one["matrix_bytes"]
        for step in ("generate", "scan", "sort", "prepare"):
            assert one[step]["cpu_seconds"] > 0
            assert 0 < one[step]["seconds"] < 100
            assert 20e6 < one[step]["peak_bytes"] < 2e9
        assert one["prepare"]["disk_bytes"] > one["bytes"] + one["matrix_bytes"]
    assert [path.name for path in home.root.iterdir() if any(path.iterdir())] == ["results"]


def test_it_is_labelled_and_names_no_machine(home: Home, document: dict[str, Any]) -> None:
    text = (home.results / "speed" / "prepare.md").read_text()
    assert text == markdown(document)
    assert "Simulated logs" in text
    assert "From 20,000 to 40,000 events, 2 times as many: time" in text
    assert document["simulated"] is True
    assert {"cores", "memory_bytes", "system"} == set(document["machine"])
    assert str(home.root) not in json.dumps(document) + text
    assert platform.node() not in json.dumps(document) + text
