"""What there is: a prepared dataset, lists of names, one thing shown whole."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mtlbench.render.console import out
from mtlbench.report import many_clusters


def prepared(summary: Mapping[str, Any]) -> None:
    """What lies in a prepared dataset."""
    tasks = list(summary["splits"]["train"]["defined"])
    table = Table(title=f"{summary['dataset']}{' (simulated)' if summary['simulated'] else ''}")
    table.add_column("split")
    for head in ("rows", many_clusters(summary), *tasks):
        table.add_column(head, justify="right", overflow="fold")
    for name, split in summary["splits"].items():
        cells = (_happened(split, task) for task in tasks)
        table.add_row(name, f"{split['rows']:,}", f"{split['clusters']:,}", *cells)
    out.print(table)
    out.print(f"{summary['path']}, fingerprint {summary['fingerprint'][:12]}")
    out.print(f"Next: mtlbench run --dataset {escape(summary['dataset'])} --method mmoe")


def _happened(split: Mapping[str, Any], task: str) -> str:
    """How often a task happened, and out of how many rows where it is not defined on all."""
    defined, positives = split["defined"][task], split["positives"].get(task)
    if positives is None:
        return f"{defined:,} values"
    return f"{positives:,}" + (f" of {defined:,}" if defined < split["rows"] else "")


def catalogue(rows: Sequence[Mapping[str, Any]]) -> None:
    """Names with what they are, one a row; columns that nothing fills are left out."""
    table = Table(box=None, pad_edge=False)
    heads = [h for h in (rows[0] if rows else ()) if h != "paper" and any(row[h] for row in rows)]
    for head in heads:
        table.add_column(head, no_wrap=head == "name", style="bold" if head == "name" else "")
    for row in rows:
        cells = ("yes" if row[h] is True else "" if row[h] is False else str(row[h]) for h in heads)
        table.add_row(*map(escape, cells))
    out.print(table)


def shown(found: Mapping[str, Any]) -> None:
    """One dataset, method or balancer, a section each."""
    out.print(f"[bold]{escape(found['name'])}[/bold]  {escape(found.get('summary', found['kind']))}")
    card = found.get("card", {})
    _section("Tasks", card.get("tasks", ""))
    _section("Split", card.get("split", ""))
    if source := card.get("source"):
        account = " (wants an account)" if source.get("account") else ""
        _section("Source", f"{source['page']}{account}", *(_raw_file(file) for file in source["files"]))
        _section("Terms", source["terms"])
        _section("Cite", source["cite"])
    for head in ("columns", "size", "quirks", "explained"):
        _section(head.capitalize(), *(f"{key}: {_words(value)}" for key, value in card.get(head, {}).items()))
    _section("", found.get("description", ""))
    if found.get("paper") and "description" not in found:
        _section("Paper", found["paper"])
    for head in ("settings", "options"):
        _section(head.capitalize(), *(_option(option) for option in found.get(head, ())))
    if ready := found.get("prepared"):
        rows = ", ".join(f"{split} {counts['rows']:,} rows" for split, counts in ready["splits"].items())
        _section("Prepared", f"{rows}; fingerprint {ready['fingerprint'][:12]}; {ready['command']}")


def _section(head: str, *lines: str) -> None:
    """A heading and its lines, indented; nothing where there are none."""
    if any(lines):
        out.print(f"\n[bold]{head}[/bold]" if head else "")
        for line in lines:
            out.print(Padding(Text(line), (0, 0, 0, 2 if head else 0)))


def _raw_file(file: Mapping[str, Any]) -> str:
    size = f", {file['bytes'] / 1e6:,.1f} MB" if file.get("bytes") else ""
    needed = ", optional" if file.get("optional") else ""
    addresses = [*file.get("addresses", ()), *([f"Kaggle {file['kaggle']}"] if file.get("kaggle") else [])]
    return "\n  ".join([f"{file['file']}{size}{needed}", *(addresses or ["by hand"])])


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _option(option: Mapping[str, Any]) -> str:
    default = json.dumps(option["default"], default=str)
    about = f": {option['about']}" if option["about"] else ""
    return f"{option['name']} = {default} ({option['type']}){about}"
