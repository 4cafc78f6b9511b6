"""The pages in docs/ that are generated from the code: python -m mtlbench.catalogue.pages.

Never edit them by hand; a test fails when they must be regenerated (`make docs`).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from mtlbench.balancing import BALANCERS
from mtlbench.balancing.base import MixOptions
from mtlbench.catalogue import showing
from mtlbench.catalogue.docstring import as_written
from mtlbench.catalogue.families import BALANCER_FAMILIES, METHOD_FAMILIES, START, Family
from mtlbench.catalogue.files import FILES, UserFile, tables
from mtlbench.catalogue.options import options
from mtlbench.catalogue.sizes import REFERENCE_WORDS, reference_size
from mtlbench.files import write_text
from mtlbench.floors.base import FloorConfig
from mtlbench.methods import METHODS
from mtlbench.methods.base import Method, NetworkConfig
from mtlbench.registry import Entry

GENERATED = "<!-- Written from the code by `make docs`; do not edit. -->"


def pages() -> dict[str, str]:
    """Return path below docs/ -> Markdown: families, an index of methods and balancers, the users' files."""
    return {
        **_of("methods", METHODS, METHOD_FAMILIES, showing.method),
        **_of("balancers", BALANCERS, BALANCER_FAMILIES, showing.balancer),
        "methods/README.md": _page(
            "# Methods",
            "All by name: `mtlbench run --method NAME`. `mtlbench list methods` lists them, `mtlbench show "
            "NAME` says what stands here, with the weights counted on your data.",
            START,
            *_contents(METHODS, METHOD_FAMILIES),
            "## Options that all networks have",
            _option_table(options(NetworkConfig)),
            "## Options that all floors have",
            _option_table(options(FloorConfig)),
        ),
        "balancers/README.md": _page(
            "# Balancers",
            "Any method goes with any balancer: `mtlbench run --method mmoe --balancer NAME`. Balancers "
            "that see losses take one backward pass per step; those that see gradients take one per task, "
            "and some solve a small problem on the host.",
            *_contents(BALANCERS, BALANCER_FAMILIES),
            "## Options that all have that mix gradients",
            _option_table(options(MixOptions)),
        ),
        "files.md": _page(
            "# The files that you write",
            "Both are TOML, and a key that is not in these tables is an error. What is not required may be "
            "left out; where no default is shown, the meaning says what holds then.",
            *map(_file, FILES),
        ),
    }


def _of(
    folder: str,
    table: Mapping[str, Entry],
    families: Mapping[str, Family],
    describe: Callable[[str, Entry], dict[str, Any]],
) -> dict[str, str]:
    """Generate one page per family that has members."""
    made = {}
    for key, family in families.items():
        members = {name: entry for name, entry in table.items() if entry.family == key}
        if members and family.page:
            sections = [_section(describe(name, entry), entry) for name, entry in members.items()]
            cost = f"Backward passes a step: {family.passes}." if family.passes else ""
            made[f"{folder}/{family.page}.md"] = _page(f"# {family.title}", family.about, cost, *sections)
    return made


def _contents(table: Mapping[str, Entry], families: Mapping[str, Family]) -> list[str]:
    """Generate one table of names per family."""
    parts = []
    for key, family in families.items():
        rows = [
            (f"[`{name}`]({family.page}.md#{name})", e.summary, e.paper, e.needs)
            for name, e in table.items()
            if e.family == key
        ]
        if rows and family.page:
            parts += [f"## [{family.title}]({family.page}.md)", family.about]
            parts.append(_table(("name", "what", "paper", "needs"), rows))
    return parts


def _section(found: Mapping[str, Any], entry: Entry) -> str:
    """Generate the section of one method or balancer."""
    command = f"mtlbench run --method {found['name']}"
    if found["kind"] == "balancer":
        command = f"mtlbench run --method mmoe --balancer {found['name']}"
    usual = {o["name"]: o["default"] for o in options(NetworkConfig)}
    changed = [o for o in found["shared_options"] if usual.get(o["name"], o["default"]) != o["default"]]
    cls = entry.load()
    size = reference_size(cls) if issubclass(cls, Method) else {}
    return _joined(
        f"## {found['name']}",
        f"**{_prose(found['title'])}**",
        _prose(found["reference"]),
        *map(_paragraph, found["body"]),
        _paragraph(found["departs"]),
        _paragraph(found["pitfalls"], "**Pitfalls.** "),
        f"**Needs** {found['needs']}." if found["needs"] else "",
        _option_table([*found["options"], *changed]),
        f"Weights at the defaults: {size['dense']:,} in layers, {size['embedding']:,} in embeddings "
        f"({REFERENCE_WORDS})."
        if size
        else "",
        f"    {command}",
    )


def _file(file: UserFile) -> str:
    """Generate an example of a file, then all its keys, table by table."""
    parts = [f"## {file.title}", f"```toml\n{file.example}```", file.about]
    for table in tables(file.filled):
        parts += [f"### `{table.head}`" if table.head else "", _prose(table.about)]
        parts.append(_table(("key", "default", "type", "meaning"), list(map(_key, table.keys))))
    return _joined(*parts)


def _key(o: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Generate a key's row, without a default that is empty or a table; TOML has no none."""
    shown = isinstance(o["default"], int | float | str) and o["default"] != ""
    default = "required" if o["required"] else f"`{json.dumps(o['default'])}`" if shown else ""
    return f"`{o['name']}`", default, o["type"].removesuffix(" | none"), _prose(o["about"])


def _paragraph(text: str, head: str = "") -> str:
    """Return prose as it is, equations and lists in a block that keeps their lines."""
    if not text or not as_written(text):
        return head + _prose(text) if text else ""
    return f"{head}\n```text\n{dedent(text)}\n```".strip()


def _prose(text: str) -> str:
    """Escape `*` and `<` for Markdown, except between backticks."""
    parts = text.split("`")
    return "`".join(p if i % 2 else re.sub(r"([*<])", r"\\\1", p) for i, p in enumerate(parts))


def _option_table(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        (f"`{o['name']}`", f"`{json.dumps(o['default'], default=str)}`", o["type"], _prose(o["about"]))
        for o in rows
    ]
    return _table(("option", "default", "type", "meaning"), cells) if cells else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(*paragraphs: str) -> str:
    return _joined(GENERATED, *paragraphs) + "\n"


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(p for p in paragraphs if p)


def main() -> None:
    """Regenerate docs/methods/, docs/balancers/ and docs/files.md in the checkout."""
    docs = Path(__file__).parents[2] / "docs"
    made = pages()
    for old in (*docs.glob("methods/*.md"), *docs.glob("balancers/*.md")):
        if old.relative_to(docs).as_posix() not in made:
            old.unlink()
    for name, text in made.items():
        write_text(docs / name, text)


if __name__ == "__main__":
    main()
