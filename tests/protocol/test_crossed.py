"""The simulated checks can fail: each catches a test that is wrong in the way that it guards against."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from mtlbench.home import Home
from mtlbench.protocol import crossed, detectable, families
from mtlbench.protocol.check import Lab, Scale
from mtlbench.protocol.crossed import NEUTRAL_UNEVEN
from mtlbench.protocol.model import (
    ScoreModel,
    Shares,
    auc_contrasts,
    draw_estimates,
    simulate,
)
from mtlbench.statistics.variance import Estimate, two_way
from mtlbench.statistics.verdict import Verdict, judge
from tests.statistics.simulate import table

LAB = Lab(Home(Path()), quick=True)


def without_seeds(contrasts: NDArray[np.float64]) -> Estimate:
    """A test that looks at users alone: SE^2 = B."""
    return replace(two_way(contrasts), seed=0.0, residual=0.0)


def without_users(contrasts: NDArray[np.float64]) -> Estimate:
    """A paired t test over seeds: SE^2 = A."""
    return replace(two_way(contrasts), user=0.0)


def with_normal_users(contrasts: NDArray[np.float64]) -> Estimate:
    """U - 1 degrees of freedom, though a few users carry most of the AUC."""
    return replace(two_way(contrasts), kurtosis=3.0)


def with_a_tenth_of_the_error(contrasts: NDArray[np.float64]) -> Estimate:
    e = two_way(contrasts)
    return replace(e, seed=e.seed / 100, user=e.user / 100, residual=e.residual / 100)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer replicates of fewer settings; where there are two models, the second has the larger effects."""
    monkeypatch.setattr(crossed, "REPLICATES", Scale(2000, 60))
    monkeypatch.setattr(crossed, "CHUNK", Scale(50, 60))
    monkeypatch.setattr(families, "POOLS", Scale(10_000, 300))
    monkeypatch.setattr(families, "CHUNK", Scale(1000, 300))
    monkeypatch.setattr(families, "SEED_TO_USER", (4.0, math.inf))
    monkeypatch.setattr(families, "RESIDUAL", (0.05,))
    monkeypatch.setattr(detectable, "SHARES", detectable.SHARES[:1])
    monkeypatch.setattr(crossed, "SAME_METHOD_UNEVEN", ())
    monkeypatch.setattr(crossed, "NEUTRAL_UNEVEN", ())
    for module, name in ((crossed, "SAME_METHOD"), (crossed, "NEUTRAL"), (detectable, "MODELS")):
        monkeypatch.setattr(module, name, getattr(module, name)[:2])


def test_identical_methods_pass_and_a_test_blind_to_seeds_is_caught() -> None:
    assert all(finding.holds for finding in crossed.a1(LAB))
    broken = crossed.a1(LAB, without_seeds)
    assert not broken[1].holds


def test_equal_arms_pass_and_a_test_blind_to_users_is_caught() -> None:
    assert all(finding.holds for finding in crossed.a7(LAB))
    assert not crossed.a7(LAB, without_users)[1].holds


def test_unequal_users_pass_and_a_test_that_takes_them_for_normal_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under a steeper law than the check's own, so that 200 replicates show it: one user has 38 % of rows."""
    steep = ScoreModel(users=300, seeds=10, seed=0.01, user=1.0, zipf=1.5)
    monkeypatch.setattr(crossed, "NEUTRAL", ())
    monkeypatch.setattr(crossed, "NEUTRAL_UNEVEN", (steep,))
    assert [finding.holds for finding in crossed.a7(LAB)] == [True]
    assert [finding.holds for finding in crossed.a7(LAB, with_normal_users)] == [False]


def test_uneven_settings_are_what_they_say() -> None:
    """Some 40 users hold a positive where positives are few; Zipf's largest user has a seventh of rows."""
    rng = np.random.default_rng(3)
    for model in NEUTRAL_UNEVEN:
        drawn = [simulate(model, rng) for _ in range(40)]
        holders = np.mean([len(np.unique(d.index[d.label])) for d in drawn])
        largest = np.mean([np.bincount(d.index).max() / len(d.index) for d in drawn])
        assert ("few positives" in crossed.words(model)) == (35 < holders < 45)
        assert ("Zipf" in crossed.words(model)) == (largest > 1 / 7)


def test_families_pass_and_too_generous_a_tail_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(finding.holds for finding in families.a2(LAB))
    monkeypatch.setattr(families, "adjusted_df", lambda df, seeds, level: df)
    assert not any(finding.holds for finding in families.a2(LAB) if "family of 40, 5 seeds" in finding.what)


def test_the_printed_effect_passes_and_one_that_is_far_too_small_is_caught() -> None:
    assert all(finding.holds for finding in detectable.a15(LAB))
    alone = [finding for finding in detectable.a15(LAB, with_a_tenth_of_the_error) if "alone" in finding.what]
    assert len(alone) == 2
    assert not any(finding.holds for finding in alone)


def test_the_effect_that_is_called_80_times_in_100_is() -> None:
    """By judging again with the effect added to each replicate."""
    judged = crossed.judge_replicates(crossed.Task((15, 0), detectable.MODELS[0], range(200)))
    effect = detectable.detected_effect(judged)
    shifted = [judge([replace(e, gain=e.gain + effect)], [0.001])[0] for e, _ in judged]
    assert np.mean([j.verdict is Verdict.POSITIVE for j in shifted]) == pytest.approx(0.8, abs=0.01)


def test_a_family_is_called_as_judge_calls_it() -> None:
    rng = np.random.default_rng(0)
    agreed = []
    for size in (1, 4, 12, 40):
        for _ in range(40):
            family = draw_estimates(Shares(0.6, 0.3, 0.1), 5, 200, size, rng)
            family = [replace(family[0], gain=family[0].gain * rng.choice([1, 6])), *family[1:]]
            verdicts = {j.verdict for j in judge(family, [1.0] * size)}
            called = bool(verdicts & {Verdict.POSITIVE, Verdict.NEGATIVE})
            assert families.any_call(family) == called
            agreed.append(called)
    assert 0.1 < np.mean(agreed) < 0.9


def test_drawn_components_are_those_of_drawn_tables() -> None:
    """In distribution, by Kolmogorov and Smirnov at a level of 1e-4."""
    seeds, users, number = 5, 60, 1500
    shares = Shares(0.4, 0.3, 0.3)
    sd = (math.sqrt(0.4 * seeds), math.sqrt(0.3 * users), math.sqrt(0.3 * seeds * users))
    rng = np.random.default_rng(1)
    tables = [two_way(table(rng, users, seeds, *sd)) for _ in range(number)]
    drawn = draw_estimates(shares, seeds, users, number, rng)
    for attribute in ("gain", "seed", "user", "residual", "se", "df"):
        one, other = ([getattr(e, attribute) for e in es] for es in (tables, drawn))
        assert ks_2samp(one, other).pvalue > 1e-4, attribute


def test_arms_of_one_method_agree_on_every_user_and_others_do_not() -> None:
    """Over many seeds a user's contrast tends to 0 in the first case alone."""
    spread = []
    for same in (True, False):
        model = ScoreModel(seeds=60, seed=0.0, user=1.0, residual=0.1, same_users=same)
        spread.append(auc_contrasts(simulate(model, np.random.default_rng(2))).mean(axis=1).std())
    assert spread[0] < 0.2 * spread[1]


def test_neither_chunks_nor_processes_change_a_replicate() -> None:
    model = crossed.NEUTRAL[0]
    together = crossed.judge_replicates(crossed.Task((7, 0), model, range(4)))
    apart = [crossed.judge_replicates(crossed.Task((7, 0), model, range(i, i + 1)))[0] for i in range(4)]
    assert [one.estimate for one in together] == [one.estimate for one in apart]
