"""Train one case with one side in its own process: python -m mtlbench.bench.train.alone SIDE CASE DEVICE.

The last line printed is JSON; output of the libraries comes before it. The data are those of
`$MTLBENCH_HOME`.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from mtlbench.bench.train.cases import CASES, IN_BF16, TABLE, TABLE_SEEDS, US
from mtlbench.bench.train.log import NAME
from mtlbench.home import Home
from mtlbench.load import Prepared, open_prepared
from mtlbench.metrics import auc

SIDES = {
    US: "mtlbench.bench.train.ours:Ours",
    IN_BF16: "mtlbench.bench.train.ours:OursInBf16",
    "torch-rechub": "mtlbench.bench.train.torch_rechub:TorchRechub",
    "deepctr-torch": "mtlbench.bench.train.deepctr_torch:DeepctrTorch",
}


def main(side: str, name: str, device: str) -> dict[str, Any]:
    """Measure a side on a case."""
    module, _, cls = SIDES[side].partition(":")
    model, prepared = getattr(import_module(module), cls), open_prepared(Home.find(), NAME)
    where = torch.device(device)
    if name == TABLE.name:
        return {"train": _table(model, prepared, where)}
    one = model(CASES[name], prepared, where)
    said = {"train": clocked(lambda: one.train(0))}
    scores: list[torch.Tensor] = []
    said["evaluation"] = clocked(lambda: scores.append(one.score()))
    labels = prepared.open_split("test").labels
    quality = {
        t: auc(labels[:, k], scores[0][:, k].numpy()) for k, t in enumerate(prepared.schema.task_names)
    }
    return {
        **said,
        "auc": quality,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        "multiplied": getattr(one, "multiplied", None),
    }


def _table(model: Any, prepared: Prepared, device: torch.device) -> dict[str, float]:
    """Time a peer's table: its shared bottom, its MMoE and one model per task, seed by seed."""
    from dataclasses import replace

    def everything() -> None:
        for seed in range(TABLE_SEEDS):
            for case, tasks in ((TABLE, (0, 1)), (bottom, (0, 1)), (bottom, (0,)), (bottom, (1,))):
                one = model(case, prepared, device, tasks)
                one.train(seed)
                one.score()

    bottom = replace(TABLE, experts=0)
    return clocked(everything)


def clocked(do: Callable[[], object]) -> dict[str, float]:
    """Measure wall and processor seconds of `do`."""
    began, worked = time.perf_counter(), time.process_time()
    do()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201
