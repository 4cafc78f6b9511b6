"""What a benchmark can detect and what it costs, in a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from mtlbench.render.console import out
from mtlbench.report import many_clusters


def plan(document: Mapping[str, Any]) -> None:
    """Print one row per task; then whether the benchmark can decide, what would, and how long it takes."""
    from mtlbench.report.power import how_long  # loads scipy, which a list of names should not wait for

    out.print(_power_table(document))
    out.print(
        f"Effects called with probability .80 in a family of {document['family_size']}, alpha "
        f"{document['alpha']:g}; from {_pilot(document)}, the seeds' variance at its upper 80 % bound."
    )
    out.print(f"[bold]{escape(document['conclusion'])}[/bold]")
    out.print(escape(how_long(document["time"])))
    for line in document["notes"]:
        out.print(f"[yellow]Note:[/yellow] {escape(line)}")


def _pilot(document: Mapping[str, Any]) -> str:
    """Say which runs the variances come from."""
    pilot = document["pilot"]
    methods = " and ".join(pilot["methods"])
    return f"the variances of {len(pilot['seeds'])} seeds of {methods} (their gains are not looked at)"


def _power_table(document: Mapping[str, Any]) -> Table:
    many = many_clusters(document)
    simulated = " (SIMULATED data)" if document["simulated"] else ""
    table = Table(title=f"What {document['seeds']} seeds will see on {document['dataset']}{simulated}")
    table.add_column("task", style="bold", no_wrap=True)
    for head in ("delta", "smallest seen", "seeds for delta", f"test {many} for it"):
        table.add_column(head, justify="right")
    for task in document["tasks"]:
        seen = task["minimum_detectable_effect"]
        style = "green" if task["decides"] else "yellow"
        table.add_row(
            task["task"],
            f"{task['delta']:g} {task['delta_unit'].upper()}",
            f"[{style}]{'unknown' if seen is None else f'{seen:.2g}'}[/{style}]",
            _number(task["seeds_needed"]),
            _number(task["clusters_needed"]),
        )
    return table


def _number(needed: int | None) -> str:
    return "none would do" if needed is None else f"{needed:,}"
