"""A home says where things lie."""

from pathlib import Path

import pytest

from mtlbench.home import Home, shipped


def test_home_is_the_variable_else_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MTLBENCH_HOME", raising=False)
    assert Home.find().root == tmp_path
    monkeypatch.setenv("MTLBENCH_HOME", str(tmp_path / "elsewhere"))
    assert Home.find().root == tmp_path / "elsewhere"


def test_cards_and_benchmarks_come_with_the_program() -> None:
    assert shipped("benchmarks", "demo.toml").is_file()
    assert shipped("datasets", "taobao", "card.toml").is_file()
