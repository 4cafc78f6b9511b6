"""Run all sides in turns, and compare their times."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from mtlbench.bench.train import cases
from mtlbench.bench.train.alone import SIDES
from mtlbench.bench.train.cases import BATCH, CASES, IN_BF16, TABLE, US, Case
from mtlbench.bench.train.log import NAME, generate
from mtlbench.bench.train.page import markdown
from mtlbench.errors import MtlbenchError, UsageError, unknown
from mtlbench.files import write_json, write_text
from mtlbench.home import Home
from mtlbench.launch import cores
from mtlbench.provenance import commit, now, versions

PEERS = tuple(side for side in SIDES if side not in (US, IN_BF16))
MODULES = {"torch-rechub": "torch_rechub", "deepctr-torch": "deepctr_torch"}
CLOCKS = ("train", "evaluation")
Said = dict[str, Any]


def bench_train(
    home: Home,
    peers: Sequence[str],
    names: Sequence[str],
    device: str,
    repeats: int,
    share: float,
    progress: Callable[[str, int, int], None],
) -> Said:
    """Measure all sides, write `results/speed/train.json` and `.md`, return the JSON document.

    Args:
        home: home to which results are written.
        peers: libraries to compare with.
        names: names of cases, or `table`; empty for all.
        device: cpu or cuda.
        repeats: number of turns of each side; medians are reported.
        share: share of each case's rows, below 1 for a quick look.
        progress: receives the number of finished and of all measurements.

    Raises:
        UsageError: an unknown peer or case, or a peer that is not installed.
    """
    chosen = list(names) or [*CASES, TABLE.name]
    for name in chosen:
        if name not in (*CASES, TABLE.name):
            raise unknown("case", name, [*CASES, TABLE.name])
    for peer in peers:
        if peer not in PEERS:
            raise unknown("peer", peer, PEERS)
        if find_spec(MODULES[peer]) is None:
            raise UsageError(f"{peer} is not installed: pip install 'mtlbench[peers]'.")
    ours = (US, IN_BF16) if multiplies_bf16(device) else (US,)
    sides = {name: (*([US] if name == TABLE.name else ours), *peers) for name in chosen}
    turns = {name: 1 if name == TABLE.name else repeats for name in chosen}
    said: dict[str, dict[str, list[Said]]] = {name: {side: [] for side in sides[name]} for name in chosen}
    done, total, load = 0, sum(turns[name] * len(sides[name]) for name in chosen), os.getloadavg()[0]
    home.datasets.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        case = TABLE if name == TABLE.name else CASES[name]
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=home.datasets) as scratch_folder:
            scratch = Home(Path(scratch_folder))
            generate(scratch, max(BATCH, int(case.rows * share)), seed=0)
            for _ in range(turns[name]):
                for side in sides[name]:
                    progress("measurements", done, total)
                    said[name][side].append(_measure(scratch, side, case, device))
                    done += 1
    document = {
        "command": _command(peers, names, device, repeats, share),
        "device": _device(device),
        "cores": cores(),
        "load": load,
        "versions": versions("torch", *peers),
        "measured_at": now(),
        "commit": commit(),
        "share": share,
        "repeats": repeats,
        "products_per_second": _products(device),
        "cases": [_case(name, said[name], share) for name in chosen],
    }
    folder = home.results / "speed"
    stem = "train" if device == "cpu" else f"train-{device}"
    write_json(folder / f"{stem}.json", document)
    write_text(folder / f"{stem}.md", markdown(document))
    return document


def _measure(scratch: Home, side: str, case: Case, device: str) -> Said:
    """Measure one side and case in its own process; our own table runs the command itself."""
    threads = {"OMP_NUM_THREADS": "1"} if case.name != TABLE.name or side == US else {}
    environment = {**os.environ, **threads, "MTLBENCH_HOME": str(scratch.root)}
    if case.name == TABLE.name and side == US:
        benchmark = scratch.root / "table.toml"
        benchmark.write_text(table_toml(case, cases.TABLE_SEEDS), encoding="utf-8")
        arguments = ["-m", "mtlbench", "run", str(benchmark), "--no-track", "--json", "--device", device]
    else:
        arguments = ["-m", "mtlbench.bench.train.alone", side, case.name, device]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments, *(["--force"] if arguments[2] == "run" else [])],
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise MtlbenchError(f"{side} failed at {case.name}: {done.stderr.strip()[-1500:]}")
    if case.name == TABLE.name:  # start-up included, for every side
        return {"train": {"seconds": seconds, "cpu_seconds": None}}
    answer: Said = json.loads(done.stdout.splitlines()[-1])
    return answer


def table_toml(case: Case, seeds: int) -> str:
    """Return a benchmark file: four methods, one epoch, the sizes of the case."""
    options = f"network = {list(case.network)}, tower = {list(case.tower)}, embedding_dim = {case.dim}"
    methods = ("single-task", "hard-sharing", "soft-sharing", "mmoe")
    runs = [
        f'[[run]]\nmethod = "{method}"\nmethod_options = {{ {options}, norm = "batch"'
        + (f", num_experts = {case.experts} }}" if method == "mmoe" else " }")
        for method in methods
    ]
    training = (
        f"[training]\nepochs = 1\nbatch_rows = {BATCH}\nlearning_rate = {cases.LEARNING_RATE}\n"
        "weight_decay = 0.0\nevaluations_per_epoch = 1"
    )
    head = f'name = "table"\ndataset = "{NAME}"\nseeds = {seeds}'
    return "\n".join([head, training, *runs]) + "\n"


def _case(name: str, said: Mapping[str, Sequence[Said]], share: float) -> Said:
    """Compute the medians of a case, and the ratios of the fastest peer's time to ours."""
    case = TABLE if name == TABLE.name else CASES[name]
    rows = max(BATCH, int(case.rows * share))
    scored = max(rows // 10, 1)
    sides = {side: _side(answers, rows, scored) for side, answers in said.items() if answers}
    found: Said = {
        "name": name,
        "rows": rows,
        "scored_rows": scored,
        "target": case.target,
        "floor": case.floor,
        "sides": sides,
    }
    clock = "seconds" if name == TABLE.name else "cpu_seconds"
    found["ratios"] = {
        us: {what: _ratio(sides, us, what, clock) for what in CLOCKS if what in side}
        for us, side in sides.items()
        if us not in PEERS
    }
    return found


def _side(answers: Sequence[Said], rows: int, scored: int) -> Said:
    """Compute the medians over the turns; take quality and memory from the last."""
    last = answers[-1]
    side: Said = {key: last.get(key) for key in ("auc", "peak_bytes", "multiplied")}
    for what in CLOCKS:
        if what in last:
            for clock in ("seconds", "cpu_seconds"):
                values = [a[what][clock] for a in answers if a[what][clock] is not None]
                side.setdefault(what, {})[clock] = median(values) if values else None
            side[what]["rows_per_second"] = (rows if what == "train" else scored) / side[what]["seconds"]
    return side


def _ratio(sides: Mapping[str, Said], us: str, what: str, clock: str) -> float | None:
    """Return the ratio of the fastest peer's time to ours."""
    peers = [side[what][clock] for name, side in sides.items() if name in PEERS]
    return min(peers) / sides[us][what][clock] if peers else None


def multiplies_bf16(device: str) -> bool:
    """Return whether the hardware supports bf16, which is slower than single precision without support."""
    import torch

    return device != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _products(device: str) -> float:
    """Measure the best floating-point operations per second of a layer-sized matrix product, with one thread.

    The best, by whichever of torch's libraries is faster here, since other load on the machine would
    otherwise raise the floor.
    """
    import torch

    from mtlbench.methods.products import product

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left, right = torch.randn(BATCH, 512, device=device), torch.randn(512, 512, device=device)
    libraries = (torch.matmul, product) if device == "cpu" else (torch.matmul,)
    times = []
    for multiply in libraries * 201:
        began = time.perf_counter()
        multiply(left, right)
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return 2 * BATCH * 512 * 512 / min(times)


def _device(device: str) -> str:
    import torch

    from mtlbench.devices import device_name

    return device_name(torch.device(device))


def _command(peers: Sequence[str], names: Sequence[str], device: str, repeats: int, share: float) -> str:
    parts = ["mtlbench bench train", f"--against {','.join(peers)}" if peers else "--against none"]
    parts += [f"--only {','.join(names)}"] if names else []
    parts += [f"--device {device}", f"--repeats {repeats}"] + ([f"--share {share:g}"] if share != 1 else [])
    return " ".join(parts)
