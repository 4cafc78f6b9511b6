"""The trained checks read their replicates rightly, and a verdict that is wrong too often breaks a bound."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.home import Home
from mtlbench.protocol import identical, placebo, subgroup, trained
from mtlbench.protocol.check import Finding, Lab
from mtlbench.protocol.fixtures import (
    LOSS,
    NEUTRAL,
    NOISE,
    PLANTED,
    POSITIVE,
    SEESAW,
    Called,
    Fixture,
    Replicate,
    replicate,
)
from mtlbench.statistics.variance import Estimate
from mtlbench.statistics.verdict import Verdict

ESTIMATE = Estimate(gain=0.05, seed=1e-5, user=1e-5, residual=1e-6, seeds=10, clusters=1000)
"""A gain of 11 standard errors."""
SIGN = {Verdict.NEGATIVE: -1}
Check = Callable[[Lab], list[Finding]]


def one(*verdicts: Verdict, material: bool = False, seesaw: bool = False) -> Replicate:
    """A replicate whose arms call `first` this."""
    calls = [
        Called(
            arm=i,
            task=task,
            verdict=verdict,
            material=material,
            equivalent=False,
            estimate=replace(ESTIMATE, gain=SIGN.get(verdict, 1) * ESTIMATE.gain),
        )
        for i, verdict in enumerate(verdicts, start=1)
        for task in ("first", "second")
    ]
    return Replicate(tuple(calls), (1,) if seesaw else ())


def with_signs(first: Verdict, second: Verdict, *seesaws: int) -> Replicate:
    """A replicate of one arm whose tasks are called this."""
    calls = one(first).of("first"), one(second).of("second")
    return Replicate(calls, seesaws)


def with_gain(done: Replicate, gain: float) -> Replicate:
    """The same calls, of that gain."""
    calls = (replace(c, estimate=replace(c.estimate, gain=gain)) for c in done.calls)
    return Replicate(tuple(calls), done.seesaws)


def holds(monkeypatch: pytest.MonkeyPatch, check: Check, *done: Sequence[Replicate]) -> list[bool]:
    """Whether the findings hold when the fixtures, in turn, come out as given."""
    turns = iter(done)
    monkeypatch.setattr(trained, "replicates", lambda *_: list(next(turns)))
    return [finding.holds for finding in check(Lab(Home(Path("unused"))))]


RIGHT, WRONG, NEITHER = (one(v) for v in (Verdict.POSITIVE, Verdict.NEGATIVE, Verdict.INCONCLUSIVE))


def test_known_effects_must_be_called_often_and_never_the_wrong_way(monkeypatch: pytest.MonkeyPatch) -> None:
    good = [RIGHT] * 48 + [NEITHER] * 12, [WRONG] * 57 + [NEITHER] * 3
    assert holds(monkeypatch, trained.a6, *good) == [True] * 6
    rare = [RIGHT] * 47 + [NEITHER] * 13, [WRONG] * 56 + [NEITHER] * 4
    assert holds(monkeypatch, trained.a6, *rare) == [False, True, True, False, True, True]
    opposite = [RIGHT] * 59 + [WRONG], [WRONG] * 59 + [RIGHT]
    assert holds(monkeypatch, trained.a6, *opposite) == [True, False, True, True, False, True]


def test_a_known_effect_must_be_six_standard_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Called right in every replicate, but by an effect that is half as large."""
    faint = [with_gain(r, r.of("first").estimate.gain / 2) for r in (RIGHT, WRONG)]
    done = [faint[0]] * 60, [faint[1]] * 60
    assert holds(monkeypatch, trained.a6, *done) == [True, True, False, True, True, False]
    loss_as_gain = [RIGHT] * 60, [with_gain(WRONG, ESTIMATE.gain)] * 60
    assert holds(monkeypatch, trained.a6, *loss_as_gain) == [True, True, True, True, True, False]


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
    gain, loss = Verdict.POSITIVE, Verdict.NEGATIVE
    seen, unseen = with_signs(gain, loss, 1), with_signs(gain, Verdict.INCONCLUSIVE)
    assert holds(monkeypatch, trained.a9, [seen] * 48 + [unseen] * 12) == [True]
    assert holds(monkeypatch, trained.a9, [seen] * 47 + [unseen] * 13) == [False]
    unsaid = with_signs(gain, loss)
    assert holds(monkeypatch, trained.a9, [unsaid] * 60) == [False]


def test_a_seesaw_the_other_way_round_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = with_signs(Verdict.NEGATIVE, Verdict.POSITIVE, 1)
    assert holds(monkeypatch, trained.a9, [turned] * 60) == [False]


def test_no_data_seed_is_drawn_twice_or_was_seen_in_the_tuning() -> None:
    """Every fixture of the validation has a range of its own, as long as its full scale, beyond 1 to 20."""
    ranges = [
        *(range(f.data_seed, f.data_seed + trained.REPLICATES.full) for f in (POSITIVE, LOSS, NOISE, SEESAW)),
        *(range(f.data_seed, f.data_seed + trained.OF_EACH_NEUTRAL.full) for f in NEUTRAL),
        range(PLANTED.data_seed, PLANTED.data_seed + subgroup.REPLICATES.full),
        range(placebo.HELPER.data_seed, placebo.HELPER.data_seed + placebo.HELPERS.full),
        range(placebo.MAIN.data_seed, placebo.MAIN.data_seed + placebo.MAINS.full),
        range(identical.DATA_SEED, identical.DATA_SEED + 1),
    ]
    drawn = [seed for seeds in ranges for seed in seeds]
    assert len(set(drawn)) == len(drawn)
    assert min(drawn) > 20


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
