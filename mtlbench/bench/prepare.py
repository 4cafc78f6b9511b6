"""Time to prepare a log, and its growth: simulated logs of several lengths, each measured once.

Every step is a separate process, so that its memory is its own. The floor is the minimal work of any
preparation: a bare Polars scan of the same file, and a scan with a sort.
"""

import json
import math
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtlbench.bench.process import Cost, disk_bytes, measure
from mtlbench.data.recipe import Reporting
from mtlbench.data.volume import EVENTS_A_USER
from mtlbench.files import write_json
from mtlbench.home import Home
from mtlbench.launch import cores
from mtlbench.provenance import commit, now, versions


@dataclass(frozen=True, slots=True)
class Figures:
    """Measurements of one log.

    Attributes:
        events, bytes: size of the raw log.
        users: number of sampled users.
        rows, groups: prepared rows and groups, over all splits.
        prepared_bytes: size on disk when done, of which `matrix_bytes` for matrices.
        load: one-minute load of the machine before `prepare` began, from other programs and the floor.
    """

    events: int
    bytes: int
    users: int
    rows: int
    groups: int
    prepared_bytes: int
    matrix_bytes: int
    load: float
    generate: Cost
    scan: Cost
    sort: Cost
    prepare: Cost


def bench_prepare(
    home: Home, events: Sequence[int], users_share: float, seed: int, says: Reporting
) -> dict[str, Any]:
    """Measure `prepare`, write `results/speed/prepare.json` and `.md`, return the JSON document.

    Args:
        events: lengths of the logs.
        users_share: share of each log's users to sample.
        seed: seed of the logs and of the negatives.
    """
    home.datasets.mkdir(parents=True, exist_ok=True)
    figures = []
    for number, length in enumerate(sorted(events)):
        says.report(f"{length:,} events ...")
        says.progress("logs", number, len(events))
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=home.datasets) as scratch:
            figures.append(_one(Home(Path(scratch)), length, users_share, seed))
    document = _document(figures, users_share, seed)
    folder = home.results / "speed"
    write_json(folder / "prepare.json", document)
    (folder / "prepare.md").write_text(markdown(document), encoding="utf-8")
    return document


def _one(home: Home, events: int, users_share: float, seed: int) -> Figures:
    """Generate a log, measure the floor, prepare the log."""
    environment = {"MTLBENCH_HOME": str(home.root)}

    def step(*arguments: str) -> Cost:
        return measure(arguments, home.root, environment)

    given = ("--events", str(events), "--seed", str(seed))
    generate = step("-m", "mtlbench", "prepare", "shop", "--raw-only", *given)
    [log] = home.raw("shop").iterdir()
    scan, sort = (step("-m", "mtlbench.bench.floor", what, str(log)) for what in ("scan", "sort"))
    users = max(1, round(events / EVENTS_A_USER * users_share))
    load = os.getloadavg()[0]
    arguments = ("--source", str(log), "--users", str(users), "--seed", str(seed))
    prepare = step("-m", "mtlbench", "prepare", "taobao", *arguments)
    prepared = home.prepared("taobao")
    splits = json.loads((prepared / "manifest.json").read_text(encoding="utf-8"))["splits"].values()
    return Figures(
        events=events,
        bytes=log.stat().st_size,
        users=users,
        rows=sum(split["rows"] for split in splits),
        groups=sum(split["groups"] for split in splits),
        prepared_bytes=disk_bytes(prepared),
        matrix_bytes=sum(file.stat().st_size for file in prepared.rglob("*.npy")),
        load=round(load, 1),
        generate=generate,
        scan=scan,
        sort=sort,
        prepare=prepare,
    )


def _document(figures: Sequence[Figures], users_share: float, seed: int) -> dict[str, Any]:
    return {
        "command": (
            f"mtlbench bench prepare --events {','.join(str(one.events) for one in figures)} "
            f"--users-share {users_share:g} --seed {seed}"
        ),
        "simulated": True,
        "measured_at": now(),
        "commit": commit(),
        "versions": versions("polars", "numpy"),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": cores(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        },
        "seed": seed,
        "users_share": users_share,
        "logs": [asdict(one) for one in figures],
    }


def markdown(document: dict[str, Any]) -> str:
    """Render the figures as a table, with a description of the measurement."""
    machine, versions, logs = document["machine"], document["versions"], document["logs"]
    shown: dict[str, Callable[[dict[str, Any]], str]] = {
        "users sampled": lambda one: f"{one['users']:,}",
        "rows": lambda one: f"{one['rows']:,}",
        "seconds": lambda one: f"{one['prepare']['seconds']:,.1f}",
        "CPU seconds": lambda one: f"{one['prepare']['cpu_seconds']:,.1f}",
        "events/s": lambda one: f"{one['events'] / one['prepare']['seconds']:,.0f}",
        "rows/s": lambda one: f"{one['rows'] / one['prepare']['seconds']:,.0f}",
        "peak memory, GB": lambda one: f"{one['prepare']['peak_bytes'] / 1e9:.2f}",
        "scan, s": lambda one: f"{one['scan']['seconds']:,.1f}",
        "scan and sort, s": lambda one: f"{one['sort']['seconds']:,.1f}",
        "their memory, GB": lambda one: (
            f"{one['scan']['peak_bytes'] / 1e9:.2f}, {one['sort']['peak_bytes'] / 1e9:.2f}"
        ),
        "times scan": lambda one: f"{one['prepare']['seconds'] / one['scan']['seconds']:.1f}",
        "times scan and sort": lambda one: f"{one['prepare']['seconds'] / one['sort']['seconds']:.1f}",
        "bytes a row": lambda one: f"{one['matrix_bytes'] / one['rows']:.0f}",
        "disk when done, GB": lambda one: f"{one['prepared_bytes'] / 1e9:.2f}",
        "disk while working, GB": lambda one: f"{(one['prepare']['disk_bytes'] - one['bytes']) / 1e9:.2f}",
        "load before": lambda one: f"{one['load']:.1f}",
    }
    rows = [f"| {name} | {' | '.join(show(one) for one in logs)} |" for name, show in shown.items()]
    head = ["| events | " + " | ".join(f"{one['events']:,}" for one in logs) + " |"]
    head += ["| --- |" + " ---: |" * len(logs)]
    lines = [
        "# Preparing logs of several lengths",
        "",
        f"`{document['command']}`",
        "",
        f"Simulated logs in UserBehavior's format, {document['users_share'] * 100:g} % of the users sampled, "
        "4 negatives a positive; each measured once, every step as a process of its own.",
        "",
        *head,
        *rows,
        "",
        *_growth(logs),
        "",
        f"{machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GB, {machine['system']}; mtlbench "
        f"{versions['mtlbench']} at {document['commit'] or 'no commit'}, Python {versions['python']}, Polars "
        f"{versions['polars']}, NumPy {versions['numpy']}; {document['measured_at']}. A load above 0 before "
        "a measurement is of other programs, or still of the measurement before.",
    ]
    return "\n".join(lines) + "\n"


def _growth(logs: Sequence[dict[str, Any]]) -> list[str]:
    """Describe how time and memory grow with the events, from the shortest log to the longest."""
    if len(logs) < 2:
        return []
    first, last = logs[0], logs[-1]
    times = last["events"] / first["events"]
    grown = {
        what: last["prepare"][key] / first["prepare"][key]
        for what, key in (("time", "seconds"), ("CPU time", "cpu_seconds"), ("peak memory", "peak_bytes"))
    }
    said = ", ".join(
        f"{what} {ratio:.1f} times as much (it grows as events^{math.log(ratio) / math.log(times):.2f})"
        for what, ratio in grown.items()
    )
    return [f"From {first['events']:,} to {last['events']:,} events, {times:g} times as many: {said}."]
