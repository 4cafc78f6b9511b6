"""The examples in docs/files.md are read by what reads such files, and every key is explained there."""

import re
from pathlib import Path

import pytest

from mtlbench.catalogue.files import FILES, Table, tables
from mtlbench.config import load_benchmark
from mtlbench.data.own.card import read_own_card

PAGE = Path(__file__).parents[2] / "docs" / "files.md"


@pytest.fixture
def examples(tmp_path: Path) -> list[Path]:
    """The examples of the page, each in a file of its own."""
    found = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    files = [tmp_path / "my-benchmark.toml", tmp_path / "my-shop.toml"]
    for file, text in zip(files, found, strict=True):
        file.write_text(text, encoding="utf-8")
    return files


def test_the_example_of_a_benchmark_is_one(examples: list[Path]) -> None:
    benchmark = load_benchmark(examples[0]).with_baseline()
    assert (benchmark.name, benchmark.dataset) == ("my-benchmark", "shop")
    assert [arm.method for arm in benchmark.run] == ["single-task", "mmoe"]


def test_the_example_of_a_card_is_one(examples: list[Path]) -> None:
    card = read_own_card(examples[1])
    assert (card.name, card.schema.cluster) == ("my-shop", "user_id")
    assert card.schema.task_names == ("click", "purchase")


def test_every_table_of_the_files_is_there_and_every_key_is_explained() -> None:
    benchmark, card = ([*tables(file.filled)] for file in FILES)
    assert heads(benchmark) == ["", "[[run]]", "[training]", "[family]"]
    assert heads(card) == ["", "[fields]", "[tasks]"]
    for table in (*benchmark, *card):
        assert table.about
        assert not [key["name"] for key in table.keys if not key["about"]]


def heads(found: list[Table]) -> list[str]:
    return [table.head for table in found]
