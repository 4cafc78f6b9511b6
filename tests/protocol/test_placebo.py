"""Permuted labels are the same labels, elsewhere."""

from pathlib import Path

import numpy as np

from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.prepare import prepare
from mtlbench.protocol.placebo import permuted


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
