"""Every side trains the same case, and its scores are those of the test split in its order."""

from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from mtlbench.bench.train.alone import SIDES
from mtlbench.bench.train.bench import MODULES
from mtlbench.bench.train.cases import CASES, Case
from mtlbench.bench.train.log import generate
from mtlbench.home import Home
from mtlbench.metrics import auc

CPU = torch.device("cpu")


def tiny(name: str) -> Case:
    return replace(CASES[name], network=(64, 32), tower=(16,), dim=8)


def model(side: str) -> Any:
    if side in MODULES and find_spec(MODULES[side]) is None:
        pytest.skip(f"{side} is not installed: pip install 'mtlbench[peers]'")
    module, _, cls = SIDES[side].partition(":")
    return getattr(import_module(module), cls)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["shared-bottom", "mmoe-small"])
@pytest.mark.parametrize("side", SIDES)
def test_a_side_learns_the_case(side: str, name: str, home: Home) -> None:
    made = model(side)
    prepared = generate(home, rows=120_000, seed=0, ids=300)
    one = made(tiny(name), prepared, CPU)
    one.train(0)
    scores = one.score()
    labels = prepared.open_split("test").labels
    assert scores.shape == labels.shape
    assert 0 <= scores.min() <= scores.max() <= 1
    assert auc(labels[:, 0], scores[:, 0].numpy()) > 0.55


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("side", list(MODULES))
def test_a_peer_has_models_of_one_task(side: str, home: Home) -> None:
    made = model(side)
    prepared = generate(home, rows=8_192, seed=0, ids=300)
    one = made(tiny("shared-bottom"), prepared, CPU, (1,))
    one.train(0)
    assert one.score().shape == (819, 1)
