"""A planted group that is not found, or that the pool gives away, is seen; nothing is trained here."""

from pathlib import Path

import pytest

from mtlbench.home import Home
from mtlbench.protocol import subgroup
from mtlbench.protocol.check import Lab
from mtlbench.protocol.fixtures import PLANTED, Called
from mtlbench.protocol.subgroup import Explored
from mtlbench.statistics.variance import Estimate
from mtlbench.statistics.verdict import Verdict

ESTIMATE = Estimate(gain=0.001, seed=1e-6, user=1e-7, residual=1e-8, seeds=20, clusters=12_000)
FOUND = "EXPLORATORY POSITIVE"


def explored(call: str | None = FOUND, *, material: bool = False, equivalent: bool = True) -> Explored:
    """One replicate; the pool is equivalent unless said otherwise."""
    pool = Called(
        arm=1,
        task="first",
        verdict=Verdict.POSITIVE,
        material=material,
        equivalent=equivalent,
        estimate=ESTIMATE,
    )
    return Explored(pool, call, 0.3, 0.05)


def holds(monkeypatch: pytest.MonkeyPatch, number: int, other: Explored) -> list[bool]:
    """Whether both findings hold when so many of the 30 replicates come out as `other`."""
    monkeypatch.setattr(
        subgroup,
        "explored",
        lambda home, seed: other if seed < PLANTED.data_seed + number else explored(),
    )
    return [finding.holds for finding in subgroup.a10(Lab(Home(Path("unused"))))]


@pytest.mark.parametrize("call", [None, "EXPLORATORY NEGATIVE"])
def test_a_group_must_be_found_with_its_sign(monkeypatch: pytest.MonkeyPatch, call: str | None) -> None:
    assert holds(monkeypatch, 6, explored(call)) == [True, True]
    assert holds(monkeypatch, 7, explored(call)) == [False, True]


@pytest.mark.parametrize(
    "other", [explored(equivalent=False), explored(material=True)], ids=["unequal", "material"]
)
def test_the_pool_must_stay_equivalent(monkeypatch: pytest.MonkeyPatch, other: Explored) -> None:
    assert holds(monkeypatch, 1, other) == [True, True]
    assert holds(monkeypatch, 2, other) == [True, False]
