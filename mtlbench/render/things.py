"""Listings: a prepared dataset, the names in a catalogue, one entry in full."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mtlbench.catalogue.docstring import as_written
from mtlbench.render.console import out
from mtlbench.report import many_clusters

SEEN = {
    "loss": "the losses",
    "gram": "the Gram matrix of the task gradients",
    "jacobian": "the task gradients",
}


def prepared(summary: Mapping[str, Any]) -> None:
    """Print what a prepared dataset contains."""
    tasks = list(summary["splits"]["train"]["defined"])
    table = Table(title=f"{summary['dataset']}{' (simulated)' if summary['simulated'] else ''}")
    table.add_column("split")
    for head in ("rows", many_clusters(summary), *tasks):
        table.add_column(head, justify="right", overflow="fold")
    for name, split in summary["splits"].items():
        cells = (_happened(split, task) for task in tasks)
        table.add_row(name, f"{split['rows']:,}", f"{split['clusters']:,}", *cells)
    out.print(table)
    for split, period in summary["periods"].items():
        out.print(f"{split}: {period}")
    out.print(f"{summary['path']}, fingerprint {summary['fingerprint'][:12]}")
    out.print(f"Its fields: mtlbench show {escape(summary['dataset'])}")
    out.print(f"Next: mtlbench run --dataset {escape(summary['dataset'])} --method mmoe")


def _happened(split: Mapping[str, Any], task: str) -> str:
    """Format how often a task happened, and out of how many rows if it is not defined on all."""
    defined, positives = split["defined"][task], split["positives"].get(task)
    if positives is None:
        return f"{defined:,} values"
    return f"{positives:,}" + (f" of {defined:,}" if defined < split["rows"] else "")


def catalogue(rows: Sequence[Mapping[str, Any]], after: str = "") -> None:
    """Print names with their summaries, one per row, under a heading per family, without empty columns.

    `after` is a paragraph below them.
    """
    table = Table(box=None, pad_edge=False, show_header=not any("family" in row for row in rows))
    hidden = ("family", "passes", "needs")
    heads = [h for h in (rows[0] if rows else ()) if h not in hidden and any(row[h] for row in rows)]
    for head in heads:
        table.add_column(head, no_wrap=head == "name", style={"name": "bold", "paper": "dim"}.get(head, ""))
    family = None
    for row in rows:
        if row.get("family", family) != family:
            passes = f"  [dim]backward passes: {row['passes']}[/dim]" if row.get("passes") else ""
            table.add_row(*(f"\n[bold cyan]{row['family']}[/bold cyan]", f"\n{passes}")[: len(heads)])
            family = row["family"]
        cells = {
            h: "yes" if row[h] is True else "" if row[h] is False else escape(str(row[h])) for h in heads
        }
        if row.get("needs"):
            cells["summary"] += f"\n[dim]needs {escape(row['needs'])}[/dim]"
        table.add_row(*cells.values())
    out.print(table)
    if after:
        out.print(f"\n{escape(after)}")


def shown(found: Mapping[str, Any]) -> None:
    """Print one entry, section by section; sections that do not apply are left out."""
    out.print(f"[bold]{escape(found['name'])}[/bold]  {escape(found.get('summary', found['kind']))}")
    if "title" in found:
        _described(found)
    if "arms" in found:
        _benchmark(found)
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
    if card and found.get("paper"):
        _section("Paper", found["paper"])
    _options("Settings", found.get("settings", ()))
    if ready := found.get("prepared"):
        rows = ", ".join(f"{split} {counts['rows']:,} rows" for split, counts in ready["splits"].items())
        periods = [f"{split}: {period}" for split, period in ready["periods"].items()]
        named = f"{rows}; fingerprint {ready['fingerprint'][:12]}; {ready['command']}"
        _section("Prepared", named, *periods)
        _fields(ready["fields"])


def _fields(fields: Sequence[Mapping[str, Any]]) -> None:
    """Print what each field holds; columns in which nothing is told are left out."""
    if not fields:
        _section("Fields", "not described by the version that prepared it; --force prepares it anew")
        return
    rows = [
        {
            "field": f["name"],
            "kind": f["kind"],
            "ids": f"{f['ids']:,}" if f["ids"] else "",
            "missing": _share(f["missing"]["test"]),
            "unknown": _share(f["unknown"]["test"]),
            "AUC alone": f"{f['alone']['auc']:.3f} {f['alone']['task']}" if f["alone"] else "",
        }
        for f in fields
    ]
    table = Table(box=None, pad_edge=False)
    heads = [head for head in rows[0] if any(row[head] for row in rows)]
    for head in heads:
        numbers = head in ("ids", "missing", "unknown")
        table.add_column(head, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[head]) for head in heads))
    out.print("\n[bold]Fields[/bold]")
    out.print(Padding(table, (0, 0, 0, 2)))
    told = (
        "missing: test rows without it. unknown: ids on test that are new, or too rare on train. AUC alone: "
        "of the field by itself, on validation, for the task that it separates best."
    )
    out.print(Padding(Text(told, style="dim"), (1, 0, 0, 2)))


def _share(share: float) -> str:
    return f"{share:.1%}" if share else ""


def _described(found: Mapping[str, Any]) -> None:
    """Print a method or balancer: its docstring, its options, what it costs."""
    _section("What", found["title"], found["reference"])
    for paragraph in found["body"]:
        out.print()
        _paragraph(paragraph)
    _section("Departures", found["departs"])
    _section("Pitfalls", found["pitfalls"])
    _section("Needs", found["needs"])
    if "sees" in found:
        waits = "; each step waits for the host, which solves" if found["syncs"] else ""
        _section("Cost", f"sees {SEEN[found['sees']]}; backward passes: {found['passes']}{waits}")
    _options("Options", found["options"])
    _options(f"Options that all {found['kind']}s of its kind have", found["shared_options"])
    if weights := found.get("weights"):
        numbers = f"{weights['dense']:,} in layers, {weights['embedding']:,} in embeddings"
        _section("Weights at the defaults", f"{numbers} (on {weights['on']})")


def _paragraph(text: str) -> None:
    """Print a paragraph: text is wrapped to the width, equations and lists keep their lines at any width."""
    if as_written(text):
        out.print(Text(text), no_wrap=True, overflow="ignore", crop=False)
    else:
        out.print(Text(text))


def _benchmark(found: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    heads = [h for h in ("family", "options") if any(_arm_cell(arm, h) for arm in found["arms"])]
    for head in ("method", "balancer", *heads):
        table.add_column(head, style="bold" if head == "method" else "", no_wrap=head != "options")
    for arm in found["arms"]:
        cells = (arm["method"], arm["balancer"], *(_arm_cell(arm, head) for head in heads))
        table.add_row(*map(escape, cells))
    out.print()
    out.print(table)
    arms, seeds = found["arms"], found["seeds"]
    added = sum(arm["added"] for arm in arms)
    counts = f"{len(arms)} arm{'s' * (len(arms) > 1)}, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    lines = [f"{counts}: {found['runs']} runs{' at least' if found['more_runs'] else ''}"]
    if added:
        lines.append(f"{added} of the arms {'is a baseline' if added == 1 else 'are baselines'}, added here")
    if found["unknown"]:
        lines.append(f"not known here, and wanting --plugin FILE: {', '.join(found['unknown'])}")
    _section("Runs", *lines)
    _section("Family", ", ".join(_setting(key, value) for key, value in found["family"].items() if value))
    _section("Dataset", found["dataset"] or "the one prepared last")
    _section("Training", ", ".join(f"{key} {value}" for key, value in found["training"].items()))
    _section("Next", found["command"])


def _arm_cell(arm: Mapping[str, Any], head: str) -> str:
    if head == "family":
        return str(arm["family"])
    options = {**arm["method_options"], **arm["balancer_options"]}
    return " ".join(f"{key}={_compact(value)}" for key, value in options.items())


def _compact(value: Any) -> str:
    """Format a value as `--set` takes it, where possible."""
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{key}={_compact(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return ",".join(map(_compact, value)) or "[]"
    return value if isinstance(value, str) else json.dumps(value)


def _setting(key: str, value: Any) -> str:
    return f"{key} {_compact(value)}"


def _options(head: str, options: Sequence[Mapping[str, Any]]) -> None:
    """Print each option's name, default, type and meaning, one option per row."""
    if not options:
        return
    out.print(f"\n[bold]{head}[/bold]")
    table = Table(box=None, padding=(0, 1))
    table.add_column("name", no_wrap=True)
    for name in ("default", "type", "meaning"):
        table.add_column(name, overflow="fold", ratio=3 if name == "meaning" else None)
    for option in options:
        default = json.dumps(option["default"], default=str)
        table.add_row(*map(escape, (option["name"], default, option["type"], option["about"])))
    out.print(table)


def _section(head: str, *lines: str) -> None:
    """Print a heading and its lines, indented; nothing if there are no lines."""
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
