"""What people read in a terminal: Rich tables and progress. The one file that builds Rich output."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as ProgressTask
from rich.table import Table
from rich.text import Text

from mtlbench.report import figure, legend, many_clusters
from mtlbench.schema import Task

if TYPE_CHECKING:
    from mtlbench.experiment import Bar
    from mtlbench.runner import Outcome


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # the command line knows what to do


out = _Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

STYLES = {"POSITIVE": "bold green", "NEGATIVE": "bold red", "EQUIVALENT": "cyan", "INCONCLUSIVE": "yellow"}
SECONDS_WITHOUT_BAR = 2.0
STAGES_IN_BYTES = ("download", "check", "checksum", "unpack")


def say(line: str) -> None:
    """One line for people, to stderr."""
    err.print(escape(line))


class _Rate(ProgressColumn):
    """Units a second, since the stage began."""

    def render(self, task: ProgressTask) -> Text:
        """Such as 52,310/s, or 11.4 MB/s where files are read."""
        if task.speed and task.description in STAGES_IN_BYTES:
            return Text(f"{task.speed / 1e6:,.1f} MB/s", style="dim")
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


class _Stages:
    """A bar for the stage at hand; where no terminal is, nothing (each stage ends with a line of its own)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._task: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of the stage are behind us; total 0 means that nobody knows."""
        if stage != self._stage:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._stage, self._task = stage, self._progress.add_task(stage, total=total or None)
        self._progress.update(self._task, completed=done, total=total or None)


@contextmanager
def stages() -> Iterator[_Stages]:
    """Progress of the stages of a preparation."""
    with _bar() as progress:
        yield _Stages(progress)


class _Grid:
    """A bar over the rows of a whole grid, and a line for each run that ends."""

    def __init__(self, progress: Progress, runs: int, rows: int) -> None:
        self._progress, self._runs, self._done = progress, runs, 0
        self._began = time.perf_counter()
        self._task = progress.add_task(self._title(), total=rows)

    def _title(self) -> str:
        return f"Training, {self._done} of {self._runs} runs done, rows"

    def rows(self, rows: int) -> None:
        """So many more rows have been trained on."""
        self._progress.advance(self._task, rows)

    def ended(self, outcome: "Outcome") -> None:
        """A run is done, or has failed."""
        self._done += 1
        spec = outcome.spec
        self._progress.update(self._task, description=self._title())
        if outcome.status == "failed":
            say(f"FAILED {spec.method}, seed {spec.seed}: {outcome.reason}")
        elif not err.is_terminal:
            spent = time.perf_counter() - self._began
            say(f"[{self._done}/{self._runs}] {spec.method}, seed {spec.seed}: done after {spent:.0f} s")


@contextmanager
def grid(runs: int, rows: int) -> "Iterator[Bar]":
    """Progress of a grid of runs that takes so many rows at the most."""
    with _bar() as progress:
        yield _Grid(progress, runs, rows)


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


def verdicts(document: Mapping[str, Any]) -> None:
    """The table that the tool exists for, a row a task, a column a method; then what it cost."""
    if document["comparisons"]:
        out.print(_verdict_table(document))
        for line in legend(document):
            out.print(escape(line))
        out.print(_cost_table(document))
    else:
        out.print(_metric_table(document))
    for line in remarks(document):
        out.print(f"[yellow]Note:[/yellow] {escape(line)}")


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['dataset']}{' (SIMULATED data)' if document['simulated'] else ''}"


def _verdict_table(document: Mapping[str, Any]) -> Table:
    comparisons = document["comparisons"]
    arms = document["family"]["arms"]
    table = Table(title=f"Gain over {document['family']['baseline']} on {_title(document)}", show_lines=True)
    table.add_column("task", style="bold", no_wrap=True)
    table.add_column(document["family"]["baseline"], justify="right")
    for arm in arms:
        table.add_column(arm, justify="right")
    for task in document["family"]["tasks"]:
        cells = {c["arm"]: c for c in comparisons if c["task"] == task}
        first = cells[arms[0]]
        table.add_row(
            task,
            f"{first['metric'].upper()}\n{figure(first['baseline_value'])}",
            *(_cell(cells[a]) for a in arms),
        )
    return table


def _cell(comparison: Mapping[str, Any]) -> Text:
    """Gain, interval, verdict; on simulated data what was planted."""
    verdict = comparison["verdict"]
    lines = [verdict.replace("_", " ")]
    if verdict == "NEGATIVE" and comparison["equivalent"]:
        lines = ["NEGATIVE,", "negligible"]
    if "truth" in comparison:
        lines.append(f"truth: {comparison['truth']}")
    figures = figure(comparison["gain"], sign=True)
    if comparison["interval"]:
        low, high = comparison["interval"]
        figures += f"\n{figure(low, sign=True)}..{figure(high, sign=True)}"
    return Text.assemble(figures, "\n", ("\n".join(lines), STYLES.get(verdict, "dim")))


def _cost_table(document: Mapping[str, Any]) -> Table:
    """What each method costs, against the sum of the single-task models."""
    table = Table(title="Cost a seed (ratio to the sum of the single-task models)", box=None, pad_edge=False)
    table.add_column("method", style="bold")
    for head in ("parameters", "rows/s", "wall seconds"):
        table.add_column(head, justify="right")
    kinds = (("parameters", ",.0f"), ("rows_per_second", ",.0f"), ("wall_seconds", ",.1f"))
    single = next((s["costs"] for s in document["summaries"] if s["costs"]), None)
    if single is not None:
        cells = (_cost(single[kind]["single_task"], form) for kind, form in kinds)
        table.add_row(f"{document['family']['baseline']}, sum", *cells)
    for summary in document["summaries"]:
        costs = [(summary["costs"][kind], form) for kind, form in kinds]
        cells = (f"{_cost(c['method'], form)} ({_cost(c['ratio'], '.2f')}x)" for c, form in costs)
        table.add_row(summary["arm"], *cells)
    return table


def _cost(value: float | None, form: str) -> str:
    return "?" if value is None else format(value, form)


def _metric_table(document: Mapping[str, Any]) -> Table:
    """Where there is nothing to compare with: the test metrics, mean over seeds."""
    runs = [run for run in document["runs"] if run["status"] != "failed"]
    table = Table(title=f"Test metrics on {_title(document)}, mean over seeds (nothing to compare with)")
    table.add_column("task", style="bold")
    methods = list(dict.fromkeys((run["method"], run["balancer"]) for run in runs))
    for method, balancer in methods:
        table.add_column(method if balancer == "equal" else f"{method} + {balancer}", justify="right")
    for task in document["tasks"]:
        metric = Task(**task).metric
        row = []
        for arm in methods:
            mine = [
                r["metrics"]["test"][task["name"]][metric]
                for r in runs
                if (r["method"], r["balancer"]) == arm
            ]
            known = [value for value in mine if value is not None]
            row.append(f"{sum(known) / len(known):.4f} {metric.upper()}" if known else "undefined")
        table.add_row(task["name"], *row)
    return table


def remarks(document: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the table."""
    lines = []
    failed = [run for run in document["runs"] if run["status"] == "failed"]
    if failed:
        reasons = "; ".join(dict.fromkeys(run["reason"] for run in failed))
        lines.append(f"{len(failed)} of {len(document['runs'])} runs failed: {reasons}")
    seesaws = [s["arm"] for s in document["summaries"] if s["verdict"] == "SEESAW"]
    if seesaws:
        lines.append(f"SEESAW: {', '.join(seesaws)} help some tasks at the cost of others.")
    seeds = min((c["seeds"] for c in document["comparisons"]), default=0)
    size = document["family"]["size"]
    if 5 <= seeds < 10 and size > 1:
        lines.append(f"{seeds} seeds are few for a family of {size}: --seeds 10 sees smaller effects.")
    lines += dict.fromkeys(c["reason"] for c in document["comparisons"] if "reason" in c)
    lines += dict.fromkeys(
        f"{run['method']}, seed {run['seed']}: {warning}"
        for run in document["runs"]
        for warning in run["warnings"]
    )
    if document["simulated"]:
        lines.append("simulated data: these figures say how well the tool finds what was planted, no more.")
    return lines
