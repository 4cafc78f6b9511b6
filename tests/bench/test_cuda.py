"""What `bench cuda` measures; on a CPU, where the figures mean nothing, and on a GPU."""

import json
from dataclasses import replace

import pytest
import torch

from mtlbench.bench import cuda
from mtlbench.bench.train.cases import BATCH, CASES
from mtlbench.home import Home
from tests.conftest import Command


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_runs_from_end_to_end_where_there_is_no_gpu(
    mtlbench: Command, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {name: CASES[name] for name in ("mmoe-big", "mmoe-small")}
    small["mmoe-big"] = replace(small["mmoe-big"], network=(32, 16), experts=2)
    monkeypatch.setattr(cuda, "CASES", small)
    monkeypatch.setattr(cuda, "SEEDS", 2)
    answer = mtlbench("bench", "cuda", "--device", "cpu", "--share", "0.0005")
    assert answer.code == 0, answer.err
    assert answer.out == (home.results / "speed" / "cuda.md").read_text()
    document = json.loads((home.results / "speed" / "cuda.json").read_text())
    assert {(one["case"], one["seeds"]) for one in document["stacks"]} == {
        (name, seeds) for name in small for seeds in (1, 2)
    }
    for one in document["stacks"]:
        rows = one["seeds"] * BATCH
        assert one["rows_per_second"] == pytest.approx(rows / one["seconds_a_step"])
        assert 0 < one["share_of_products"] < 1
    assert document["table"]["runs"] == 4 * 2
    assert not list(home.datasets.iterdir()), "the generated data are left"


def test_without_a_gpu_it_says_so(mtlbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    answer = mtlbench("bench", "cuda")
    assert answer.code == 2
    assert "no CUDA device" in answer.err
