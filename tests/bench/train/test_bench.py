"""What `bench train` makes of its measurements; the measuring itself is in `test_sides`."""

from typing import Any

import pytest

from mtlbench.bench.train import bench
from mtlbench.bench.train.cases import CASES, Case
from mtlbench.errors import UsageError
from mtlbench.home import Home
from tests.conftest import Command

SECONDS = {"mtlbench": 2.0, "mtlbench, bf16": 1.0, "torch-rechub": 9.0, "deepctr-torch": 6.0}


def faked(scratch: Home, side: str, case: Case, device: str) -> dict[str, Any]:
    """Turns of 1, 2 and 3 times the side's seconds, in any order."""
    faked.turns[side] = faked.turns.get(side, 0) + 1  # type: ignore[attr-defined]
    seconds = SECONDS[side] * (faked.turns[side] % 3 + 1)  # type: ignore[attr-defined]
    clock = {"seconds": seconds, "cpu_seconds": seconds}
    if case.name == "table":
        return {"train": clock}
    return {
        "train": clock,
        "evaluation": {name: value / 10 for name, value in clock.items()},
        "auc": {"click": 0.8, "conversion": 0.7},
        "peak_bytes": 10**9,
        "multiplied": 1000 if side == "mtlbench" else None,
    }


@pytest.fixture(autouse=True)
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    faked.turns = {}  # type: ignore[attr-defined]
    monkeypatch.setattr(bench, "_measure", faked)
    monkeypatch.setattr(bench, "_products", lambda device: 1e9)
    monkeypatch.setattr(bench, "multiplies_bf16", lambda device: True)
    monkeypatch.setattr(bench, "find_spec", lambda name: True)


def test_the_ratio_is_to_the_fastest_peer_and_of_medians(home: Home) -> None:
    document = bench.bench_train(home, bench.PEERS, ["shared-bottom"], "cpu", 3, 0.01, lambda *at: None)
    (case,) = document["cases"]
    rows = int(CASES["shared-bottom"].rows * 0.01)
    assert case["rows"] == rows
    assert case["sides"]["mtlbench"]["train"]["cpu_seconds"] == 4.0
    assert case["sides"]["torch-rechub"]["train"]["rows_per_second"] == rows / 18
    assert case["ratios"]["mtlbench"] == {"train": pytest.approx(3.0), "evaluation": pytest.approx(3.0)}
    assert case["ratios"]["mtlbench, bf16"]["train"] == pytest.approx(6.0)
    page = (home.results / "speed" / "train.md").read_text()
    assert "| shared-bottom, 3x (2.5x) | mtlbench |" in page
    assert "| 3.00x |" in page
    assert f"{6 * 1000 * rows / 1e9 / 4:.0%}" in page  # what products alone take, of our 4 seconds
    assert "simulated" in page


def test_all_cases_and_the_table_are_on_the_page(mtlbench: Command, home: Home) -> None:
    answer = mtlbench("bench", "train", "--repeats", "1", "--share", "0.01")
    assert answer.code == 0, answer.err
    assert answer.out == (home.results / "speed" / "train.md").read_text()
    for name, case in CASES.items():
        assert f"| {name}, {case.target:g}x ({case.floor:g}x) | mtlbench |" in answer.out
    assert "The whole table, 5 seeds" in answer.out
    assert not list(home.datasets.iterdir()), "the generated data are left"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--against", "torch-rehcub", "torch-rechub"), ("--only", "mmoe-smal", "mmoe-small")],
)
def test_a_typo_is_answered_with_what_is_close(mtlbench: Command, option: str, value: str, said: str) -> None:
    answer = mtlbench("bench", "train", option, value)
    assert answer.code == 2
    assert said in answer.err


def test_a_peer_that_is_not_installed_is_named_with_the_mend(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="peers"):
        bench.bench_train(home, ["torch-rechub"], [], "cpu", 1, 1.0, lambda *at: None)
