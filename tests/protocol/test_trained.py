"""The trained checks read their replicates rightly, and a verdict that is wrong too often breaks a bound."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.home import Home
from mtlbench.protocol import trained
from mtlbench.protocol.check import Finding, Lab
from mtlbench.protocol.fixtures import NOISE, POSITIVE, SEESAW, Called, Fixture, Replicate, replicate
from mtlbench.statistics.variance import Estimate
from mtlbench.statistics.verdict import Verdict

ESTIMATE = Estimate(gain=0.05, seed=1e-4, user=1e-5, residual=1e-6, seeds=10, clusters=1000)
Check = Callable[[Lab], list[Finding]]


def one(*verdicts: Verdict, material: bool = False, seesaw: bool = False) -> Replicate:
    """A replicate whose arms call `first` this."""
    calls = [
        Called(arm=i, task=task, verdict=verdict, material=material, equivalent=False, estimate=ESTIMATE)
        for i, verdict in enumerate(verdicts, start=1)
        for task in ("first", "second")
    ]
    return Replicate(tuple(calls), (1,) if seesaw else ())


def holds(monkeypatch: pytest.MonkeyPatch, check: Check, *done: Sequence[Replicate]) -> list[bool]:
    """Whether the findings hold when the fixtures, in turn, come out as given."""
    turns = iter(done)
    monkeypatch.setattr(trained, "replicates", lambda *_: list(next(turns)))
    return [finding.holds for finding in check(Lab(Home(Path("unused"))))]


RIGHT, WRONG, NEITHER = (one(v) for v in (Verdict.POSITIVE, Verdict.NEGATIVE, Verdict.INCONCLUSIVE))


def test_known_effects_must_be_called_often_and_never_the_wrong_way(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [RIGHT] * 48 + [NEITHER] * 12, [WRONG] * 57 + [NEITHER] * 3
    assert holds(monkeypatch, trained.a6, *good) == [True, True, True, True]
    rare = [RIGHT] * 47 + [NEITHER] * 13, [WRONG] * 56 + [NEITHER] * 4
    assert holds(monkeypatch, trained.a6, *rare) == [False, True, False, True]
    opposite = [RIGHT] * 59 + [WRONG], [WRONG] * 59 + [RIGHT]
    assert holds(monkeypatch, trained.a6, *opposite) == [True, False, True, False]


def test_calls_of_harm_and_material_ones_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = [RIGHT] * 20
    assert holds(monkeypatch, trained.a7_trained, gains, gains) == [True, True]
    harm = [NEITHER] * 15 + [WRONG] * 5
    assert holds(monkeypatch, trained.a7_trained, harm, harm) == [False, True]
    material = [NEITHER] * 15 + [one(Verdict.POSITIVE, material=True)] * 5
    assert holds(monkeypatch, trained.a7_trained, material, material) == [True, False]


def test_the_rate_of_negative_must_grow_with_the_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    no, yes = Verdict.INCONCLUSIVE, Verdict.NEGATIVE
    assert holds(monkeypatch, trained.a8, [one(no, no, yes, yes)] * 6) == [True]
    assert holds(monkeypatch, trained.a8, [one(no, yes, no, yes)] * 6) == [False]
    assert holds(monkeypatch, trained.a8, [one(yes, yes, yes, yes)] * 6) == [False]


def test_a_seesaw_must_be_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, unseen = one(Verdict.POSITIVE, seesaw=True), one(Verdict.POSITIVE)
    assert holds(monkeypatch, trained.a9, [seen] * 48 + [unseen] * 12) == [True]
    assert holds(monkeypatch, trained.a9, [seen] * 47 + [unseen] * 13) == [False]


def test_seeds_of_the_validation_are_not_those_of_the_tuning() -> None:
    assert min(f.data_seed for f in (POSITIVE, NOISE, SEESAW)) >= 1000 > 20


@pytest.fixture
def small() -> Fixture:
    knobs = {"n_a": 200, "n_b": 600, "test_rows": 500, "validation_rows": 200}
    return replace(
        POSITIVE, knobs=knobs, seeds=5, training=replace(POSITIVE.training, epochs=6, batch_rows=50)
    )


def test_a_replicate_is_trained_for_real_and_leaves_nothing_behind(home: Home, small: Fixture) -> None:
    done = replicate(small, home, 3)
    assert [(c.arm, c.task) for c in done.calls] == [(1, "first"), (1, "second")]
    assert {c.estimate.seeds for c in done.calls} == {5}
    assert {c.estimate.clusters for c in done.calls} == {500}
    assert list(home.root.iterdir()) == []
    assert replicate(small, home, 3) == done
    assert replicate(small, home, 4) != done


def test_the_known_gain_is_called_positive(home: Home) -> None:
    """One replicate of the fixture itself, of a data seed that the tuning saw."""
    assert replicate(POSITIVE, home, 1).of("first").verdict is Verdict.POSITIVE
