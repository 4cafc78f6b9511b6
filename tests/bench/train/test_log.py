"""The generated log has the shape and the rates that it is said to have, and can be learned."""

import numpy as np
import pytest

from mtlbench.bench.train.log import CATEGORICAL, IDS, NUMERIC, RESERVED, generate, vocabularies
from mtlbench.home import Home
from mtlbench.metrics import auc


def test_its_vocabularies_hold_about_half_a_million_ids() -> None:
    sizes = vocabularies()
    assert len(sizes) == CATEGORICAL
    assert sum(sizes.values()) == pytest.approx(IDS, rel=0.01)
    assert max(sizes.values()) > 20 * min(sizes.values()) > 20 * RESERVED


def test_its_rows_are_as_said(home: Home) -> None:
    prepared = generate(home, rows=20_000, seed=0, ids=2_000)
    train, test = prepared.open_split("train"), prepared.open_split("test")
    assert (len(train), len(prepared.open_split("validation")), len(test)) == (20_000, 2_000, 2_000)
    assert train.categorical.shape[1] == CATEGORICAL
    assert train.numeric.shape[1] == NUMERIC
    click, conversion = train.labels[:, 0] == 1, train.labels[:, 1] == 1
    assert click.mean() == pytest.approx(0.02, rel=0.01)
    assert conversion.mean() == pytest.approx(0.005, rel=0.02)
    assert click[conversion].all()
    for i, size in enumerate(prepared.vocabularies.values()):
        ids = train.categorical[:, i]
        assert ids.min() >= RESERVED
        assert ids.max() < size
    first = train.categorical[:, 0]
    assert np.mean(first < RESERVED + 0.1 * (first.max() - RESERVED)) == pytest.approx(
        0.1 ** (1 / 3), abs=0.03
    )


def test_its_test_split_follows_the_same_effects(home: Home) -> None:
    """The mean of an id's clicks in train predicts those in test."""
    prepared = generate(home, rows=200_000, seed=1, ids=500)
    train, test = prepared.open_split("train"), prepared.open_split("test")
    column, size = 5, list(prepared.vocabularies.values())[5]
    counts = np.bincount(train.categorical[:, column], minlength=size)
    rate = np.bincount(train.categorical[:, column], train.labels[:, 0], size) / np.maximum(counts, 1)
    assert auc(test.labels[:, 0], rate[test.categorical[:, column]]) > 0.55
