"""The checks on networks that were trained against themselves can fail; here nothing is trained."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mtlbench.home import Home
from mtlbench.protocol import identical
from mtlbench.protocol.check import Finding, Lab
from mtlbench.statistics.verdict import Verdict
from tests.compare.stored import SCHEMA, save, scores

LAB = Lab(Home(Path("unused")))
Check = Callable[[Lab], list[Finding]]


def outcome(task: str, gain: float, *, verdict: str = "INCONCLUSIVE", p_value: float = 0.5) -> Any:
    """What a comparison of one task would say."""
    judgement = SimpleNamespace(
        verdict=Verdict(verdict), p_value=p_value, adjusted_df=1000.0, minimum_detectable_effect=2.8
    )
    return SimpleNamespace(task=SimpleNamespace(name=task), gain=gain, judgement=judgement)


def holds(monkeypatch: pytest.MonkeyPatch, check: Check, made_up: Callable[[int, str], Any]) -> list[bool]:
    """Whether the findings hold when replicate i, task t come out as `made_up(i, t)`."""
    monkeypatch.setattr(identical, "_pool", lambda lab: list(range(lab_replicates(lab))))
    monkeypatch.setattr(identical, "_alone", lambda lab, replicate, task: made_up(replicate, task))
    return [finding.holds for finding in check(LAB)]


def lab_replicates(lab: Lab) -> int:
    return identical.REPLICATES.of(lab.quick)


def test_too_many_calls_of_one_task_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six calls in 40 are luck at .05, seven are not; nor are seven small p-values."""

    def called(number: int, **as_what: Any) -> Callable[[int, str], Any]:
        return lambda i, task: outcome(task, 0.0, **(as_what if i < number and task == "second" else {}))

    assert holds(monkeypatch, identical.a1_trained, called(6, verdict="NEGATIVE")) == [True, True]
    assert holds(monkeypatch, identical.a1_trained, called(7, verdict="NEGATIVE")) == [True, False]
    assert holds(monkeypatch, identical.a1_trained, called(7, verdict="POSITIVE")) == [True, False]
    assert holds(monkeypatch, identical.a1_trained, called(7, p_value=0.05)) == [True, False]
    assert holds(monkeypatch, identical.a1_trained, called(40, verdict="EQUIVALENT")) == [True, True]


def test_too_many_families_with_a_call_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A family counts once, wherever in it the call is."""

    def families(number: int, verdict: str) -> Callable[..., Any]:
        turns = iter(range(40))

        def compared(*_: Any, **__: Any) -> Any:
            last = verdict if next(turns) < number else "INCONCLUSIVE"
            members = [outcome("first", 0.0), *[outcome("second", 0.0, verdict=last)] * 3]
            return SimpleNamespace(comparisons=members)

        return compared

    monkeypatch.setattr(identical, "_pool", lambda lab: [[]] * lab_replicates(lab))
    monkeypatch.setattr(identical, "_data", lambda lab: SimpleNamespace(schema=SCHEMA))
    for number, verdict, expected in ((6, "POSITIVE", True), (7, "NEGATIVE", False), (7, "EQUIVALENT", True)):
        monkeypatch.setattr(identical, "compare", families(number, verdict))
        (finding,) = identical.a2_trained(LAB)
        assert finding.holds is expected, finding.measured


def test_an_effect_that_is_not_the_one_detected_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """2.8 standard deviations are what .05 two-sided calls with probability .80."""

    def spread(first: float, second: float) -> Callable[[int, str], Any]:
        sd = {"first": first, "second": second}
        return lambda i, task: outcome(task, sd[task] * (-1) ** i)

    assert holds(monkeypatch, identical.a15_trained, spread(1.0, 1.0)) == [True, True, True]
    assert holds(monkeypatch, identical.a15_trained, spread(1.3, 1.3)) == [False, True, True]
    assert holds(monkeypatch, identical.a15_trained, spread(0.7, 0.7)) == [False, True, True]
    assert holds(monkeypatch, identical.a15_trained, spread(2.0, 2.0)) == [False, False, False]


def test_one_task_does_not_make_up_for_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def spread(i: int, task: str) -> Any:
        return outcome(task, (1.7 if task == "first" else 1 / 1.7) * (-1) ** i)

    assert holds(monkeypatch, identical.a15_trained, spread) == [True, False, False]


def test_a_group_is_dealt_out_by_its_seeds(tmp_path: Path) -> None:
    """30 seeds make three arms of seeds 0 to 9; each keeps the scores of the run that it was."""
    few = [save(tmp_path / str(seed), "hard-sharing", seed, scores(seed, {})) for seed in range(3)]
    group = few * 10
    dealt = identical._dealt(group)
    assert [(r.method, r.seed) for r in dealt] == [(str(arm), seed) for arm in range(3) for seed in range(10)]
    assert [r.path for r in dealt] == [r.path for r in group]
