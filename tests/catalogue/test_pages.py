"""The pages in docs/ say what the code says."""

from pathlib import Path

from mtlbench.balancing import BALANCERS
from mtlbench.catalogue import pages
from mtlbench.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_pages_are_those_that_the_code_makes() -> None:
    made = pages.pages()
    there = [*DOCS.glob("methods/*.md"), *DOCS.glob("balancers/*.md"), *DOCS.glob("files.md")]
    found = {file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in there}
    stale = [name for name in made.keys() | found.keys() if made.get(name) != found.get(name)]
    assert not stale, f"write them anew: make docs ({', '.join(sorted(stale))})"


def test_every_entry_has_a_section_and_a_line_in_the_index() -> None:
    made = pages.pages()
    for folder, table in (("methods", METHODS), ("balancers", BALANCERS)):
        text = "\n".join(made.values())
        for name in table:
            assert f"\n## {name}\n" in text
            assert f"[`{name}`](" in made[f"{folder}/README.md"]


def test_equations_stand_in_blocks_and_bars_in_tables_are_escaped() -> None:
    made = pages.pages()
    assert "```text\ny_k = h^k( sum_i g^k(x)_i f_i(x) )," in made["methods/experts.md"]
    assert "relu \\| silu" in made["methods/README.md"]
