"""`mtlbench validate-protocol`: run the acceptance tests, report the findings, write the table."""

import shlex
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from mtlbench.errors import UsageError, unknown
from mtlbench.files import write_json, write_text
from mtlbench.home import Home
from mtlbench.protocol import CHECKS
from mtlbench.protocol.check import Check, Finding, Lab, Part, Workers
from mtlbench.provenance import commit, now, versions

Say = Callable[[str], None]


class Bar(Protocol):
    """A progress bar over the seconds of work that the checks expect."""

    def __call__(self, text: str, done: float, total: float) -> None:
        """Show `done` of `total` seconds, and `text` for the current step."""


def validate(
    home: Home,
    *,
    quick: bool,
    only: Sequence[str],
    workers: int,
    say: Say,
    bar: Callable[[], AbstractContextManager[Bar]],
) -> dict[str, Any]:
    """Run the checks; a full validation of all checks is written to `results/protocol/validation.*`.

    Args:
        home: the home whose `results/` the table goes to; nothing else in it is read or written.
        quick: use fewer replicates and write nothing.
        only: the checks to run, by their number; all of them if empty. Writes nothing unless all are named.
        workers: number of processes.
        say: called with each finding as soon as it is available.
        bar: the progress bar.

    Returns:
        The content of `validation.json`; its `holds` tells whether every bound holds.

    Raises:
        UsageError: a check is unknown, or `only` names none.
    """
    chosen = _chosen(only)
    began = time.perf_counter()
    findings: list[Finding] = []
    seconds: dict[str, float] = {}
    expected = sum(part.expected_seconds(quick) for name in chosen for part in CHECKS[name].parts)
    with tempfile.TemporaryDirectory(prefix="mtlbench-") as scratch, bar() as shown, Workers(workers) as pool:
        progress = Progress(shown, expected)
        for name in chosen:
            start = time.perf_counter()
            for part in CHECKS[name].parts:
                with progress.part(name, part.items.of(quick), part.seconds) as on_item:
                    lab = Lab(Home(Path(scratch)), quick, pool, on_item)
                    found = _findings(name, CHECKS[name], part, lab)
                for finding in found:
                    say(line(finding))
                findings += found
            seconds[name] = round(time.perf_counter() - start, 1)
    document = {
        **provenance(_command(quick, only, chosen), time.perf_counter() - began),
        "quick": quick,
        "workers": workers,
        "checks": chosen,
        "check_seconds": seconds,
        "holds": all(f.holds for f in findings),
        "findings": [asdict(f) for f in findings],
    }
    if not quick and len(chosen) == len(CHECKS):
        folder = home.results / "protocol"
        write_text(folder / "validation.md", markdown(document))
        write_json(folder / "validation.json", document)
        say(f"Written: {home.relative(folder)}/validation.md and validation.json")
    return document


def _chosen(only: Sequence[str]) -> list[str]:
    """Return the names of the checks to run, in order."""
    names = {name.strip().upper() for name in only if name.strip()}
    if only and not names:
        raise UsageError(
            f"--only {','.join(only)} names no check. Known: {', '.join(CHECKS)}; e.g. --only A6,A9"
        )
    for name in sorted(names - CHECKS.keys()):
        raise unknown("check", name, CHECKS)
    return [name for name in CHECKS if not names or name in names]


def _command(quick: bool, only: Sequence[str], chosen: Sequence[str]) -> str:
    options = (["--quick"] if quick else []) + (["--only", ",".join(chosen)] if only else [])
    return shlex.join(["mtlbench", "validate-protocol", *options])


def _findings(name: str, check: Check, part: Part, lab: Lab) -> list[Finding]:
    """Return what the part finds; if it raises, that its claim does not hold."""
    try:
        return part.run(lab)
    except Exception as error:  # any error: the other checks go on, and the table reports it
        at = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno})"
        return [
            Finding(
                check=name,
                what=f"{check.claim} ({part.target.partition(':')[2]})",
                bound="the check runs to its end",
                measured=" ".join(reason.split()),
                holds=False,
                seeds="",
                simulated="",
            )
        ]


class Progress:
    """One bar over all parts: seconds of work done, of those that the parts expect."""

    def __init__(self, bar: Bar, total: float) -> None:
        self._bar, self._total = bar, total
        self._behind = 0.0  # seconds of the parts that have ended

    @contextmanager
    def part(self, name: str, items: int, seconds: float) -> Iterator[Callable[[], None]]:
        """Track a part of `items` items of `seconds` each; yield what to call when an item is done."""
        done, began = 0, time.perf_counter()

        def on_item() -> None:
            nonlocal done
            done += 1
            rate = done / (time.perf_counter() - began)
            text = f"{name}, {done} of {items} items, {rate:.2g}/s"
            self._bar(text, self._behind + min(done, items) * seconds, self._total)

        self._bar(name, self._behind, self._total)
        yield on_item
        self._behind += items * seconds


def provenance(command: str, wall_seconds: float) -> dict[str, Any]:
    """Return where a table comes from: command, commit, versions, machine, time."""
    import torch

    from mtlbench.devices import device_name

    return {
        "command": command,
        "finished_at": now(),
        "wall_seconds": round(wall_seconds, 1),
        "commit": commit(),
        "versions": versions("numpy", "scipy", "torch"),
        "machine": device_name(torch.device("cpu")),
    }


def line(finding: Finding) -> str:
    """Format a finding as one line for people."""
    mark = "holds " if finding.holds else "BROKEN"
    return f"{mark} {finding.check:<3} {finding.what}: {finding.measured} (bound: {finding.bound})"


def markdown(document: dict[str, Any]) -> str:
    """Write the table as Markdown, with what it was made by."""
    findings = document["findings"]
    broken = [f for f in findings if not f["holds"]]
    lines = [
        "# The protocol's acceptance tests",
        "",
        f"`{document['command']}`",
        "",
        f"{len(findings) - len(broken)} of {len(findings)} bounds hold"
        + (f"; BROKEN: {', '.join(dict.fromkeys(f['check'] for f in broken))}." if broken else "."),
        "",
        "| check | what | bound | measured | holds | scores | seeds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_row(f) for f in findings),
        "",
        footer(document),
    ]
    return "\n".join(lines) + "\n"


def _row(finding: dict[str, Any]) -> str:
    cells = [finding[key] for key in ("check", "what", "bound", "measured", "holds", "simulated", "seeds")]
    cells[4] = "yes" if cells[4] else "**NO**"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def footer(document: dict[str, Any]) -> str:
    """Write machine, versions and time in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    return (
        f"{document['wall_seconds'] / 60:.1f} minutes on {document['machine']}; {versions}; commit "
        f"{document['commit'] or 'unknown'}; {document['finished_at']}."
    )
