"""Permuted labels are the same labels, elsewhere; and what they teach is seen."""

from pathlib import Path

import numpy as np
import pytest

from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.prepare import prepare
from mtlbench.protocol import placebo
from mtlbench.protocol.check import Lab
from mtlbench.protocol.placebo import HELPER, MAIN, permuted
from mtlbench.statistics.verdict import Verdict
from tests.protocol.test_trained import one

LAB = Lab(Home(Path("unused")))


def labels(prepared: Prepared, split: str) -> np.ndarray:
    return np.asarray(prepared.open_split(split).labels)  # type: ignore[arg-type]


def test_only_that_task_is_permuted_on_train_and_validation(tmp_path: Path) -> None:
    home = Home(tmp_path)
    options = {"n_a": 40, "n_b": 100, "validation_rows": 50, "test_rows": 50}
    plain = prepare(home, "mmoe-synthetic", options=options)
    placebo = permuted(home, plain, "first", 1)
    for split in ("train", "validation"):
        before, after = labels(plain, split), labels(placebo, split)
        assert np.array_equal(before[:, 1], after[:, 1], equal_nan=True)
        assert np.array_equal(np.isnan(before), np.isnan(after))
        assert not np.array_equal(before[:, 0], after[:, 0], equal_nan=True)
        assert np.array_equal(np.sort(before[:, 0]), np.sort(after[:, 0]), equal_nan=True)
    assert np.array_equal(labels(plain, "test"), labels(placebo, "test"))
    assert placebo.fingerprint != plain.fingerprint
    assert permuted(home, plain, "first", 2).fingerprint != placebo.fingerprint


def test_a_permuted_helper_that_helps_too_often_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six gains in 40 are luck at .05, seven are not; losses are no matter of this check."""
    monkeypatch.setattr(placebo, "permuted_main", lambda home, seed: (0.49, 0.51))
    outcomes = ((6, Verdict.POSITIVE, True), (7, Verdict.POSITIVE, False), (40, Verdict.NEGATIVE, True))
    for number, verdict, expected in outcomes:
        monkeypatch.setattr(
            placebo,
            "permuted_helper",
            lambda home, seed, n=number, v=verdict: one(
                v if seed < HELPER.data_seed + n else Verdict.INCONCLUSIVE
            ),
        )
        helper, main = placebo.a11(LAB)
        assert (helper.holds, main.holds) == (expected, True), helper.measured


def test_permuted_labels_that_are_learned_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four intervals of 20 without .5 are luck at .05, five are not, on whichever side they lie."""
    monkeypatch.setattr(placebo, "permuted_helper", lambda home, seed: one(Verdict.INCONCLUSIVE))
    above, below = (0.501, 0.52), (0.48, 0.499)
    for number, aside, expected in ((4, above, True), (5, above, False), (5, below, False)):
        monkeypatch.setattr(
            placebo,
            "permuted_main",
            lambda home, seed, n=number, a=aside: a if seed < MAIN.data_seed + n else (0.5, 0.52),
        )
        helper, main = placebo.a11(LAB)
        assert (helper.holds, main.holds) == (True, expected), main.measured
