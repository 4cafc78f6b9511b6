"""Logistic regression: the design matrix by hand, the fit against a dense one, the penalty by validation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder

from mtlbench.floors.base import Known
from mtlbench.floors.columns import Columns
from mtlbench.floors.logistic import Logistic, LogisticConfig
from mtlbench.load import Prepared, Split, SplitName
from mtlbench.metrics import log_loss, rmse
from tests.floors.toys import SCHEMA, VOCABULARIES, split


def floor(prepared: Prepared, *penalties: float) -> Logistic:
    return Logistic(prepared.schema, prepared.vocabularies, LogisticConfig(penalties=penalties), 0)


def known(logistic: Logistic, prepared: Prepared, part: SplitName, column: int) -> Known:
    columns = Columns.of(prepared.schema, prepared.open_split(part), slice(None))
    label = columns.labels[:, column]
    rows = np.flatnonzero(~np.isnan(label))
    return Known(logistic.features(columns)[rows], label[rows])


def both(logistic: Logistic, prepared: Prepared, column: int) -> tuple[Known, Known]:
    return known(logistic, prepared, "train", column), known(logistic, prepared, "validation", column)


def test_a_column_a_field_and_id_shares_of_sequences_then_numbers() -> None:
    """Columns: item 0-4, user 5-8, past items 9-13, friends 14-17, price 18, hour 19."""
    logistic = Logistic(SCHEMA, VOCABULARIES, LogisticConfig(), 0)
    matrix = logistic.features(Columns.of(SCHEMA, split(), slice(None)))
    assert matrix.shape == (4, 20)
    expected = np.zeros((4, 20), np.float32)
    for row, (item, user) in enumerate([(2, 2), (3, 2), (4, 2), (2, 3)]):
        expected[row, [item, 5 + user]] = 1
    expected[:3, 9 + 2] = 1  # both items of the past are item 2
    expected[:3, [14 + 3, 14 + 2]] = 0.5
    expected[3, 14 + 1] = 1
    expected[:, 18] = [0.5, -1, 0, 2]
    expected[:, 19] = [7, 7, 7, 8]
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.nnz == np.count_nonzero(expected), "zeros are stored"


@pytest.mark.parametrize("column", [0, 2])
def test_it_is_the_regression_on_a_dense_one_hot_matrix(toy: Prepared, column: int) -> None:
    """Written out with scikit-learn's own encoder: no shared code but the solver."""
    logistic, task = floor(toy, 2.0), toy.schema.tasks[column]
    model = logistic.fit_task(task, *both(logistic, toy, column))
    train, test = toy.open_split("train"), toy.open_split("test")
    users, items = (range(toy.vocabularies[name]) for name in ("user", "item"))
    encoder = OneHotEncoder(categories=[users, items], sparse_output=False)

    def dense(part: Split) -> np.ndarray:
        past = np.stack([(part.sequence == i).sum(axis=1) for i in items], axis=1)
        past[:, 0] = 0
        shares = past / past.sum(axis=1, keepdims=True).clip(min=1)
        hot = encoder.fit_transform(part.categorical)
        return np.hstack([hot, shares, part.numeric])

    label = train.labels[:, column]
    rows = ~np.isnan(label)
    features = logistic.features(Columns.of(toy.schema, test, slice(None)))
    if task.kind == "binary":
        reference = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(dense(train)[rows], label[rows])
        expected = reference.predict_proba(dense(test))[:, 1]
    else:
        expected = Ridge(alpha=2.0).fit(dense(train)[rows], label[rows]).predict(dense(test))
    np.testing.assert_allclose(model.predict(features), expected, atol=2e-3)


@pytest.mark.parametrize("column", [0, 2])
def test_validation_chooses_the_penalty(toy: Prepared, column: int) -> None:
    """The one kept has the lowest loss of those that each would give alone; their order does not matter."""
    task, penalties = toy.schema.tasks[column], (0.03, 3.0, 1e5)
    loss = log_loss if task.kind == "binary" else rmse
    losses = {}
    for tried in (*((p,) for p in penalties), penalties):
        logistic = floor(toy, *tried)
        train, validation = both(logistic, toy, column)
        model = logistic.fit_task(task, train, validation)
        losses[tried] = loss(validation.label, model.predict(validation.features))
    assert losses[penalties] == min(losses.values())
    assert losses[penalties] < losses[(1e5,)]
    assert len(set(losses.values())) == 3, "the penalty changes nothing: the test shows nothing"


@pytest.mark.parametrize("bad", [(), (0.0,), (1.0, -1.0)])
def test_penalties_that_are_none_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="penalties"):
        LogisticConfig(penalties=bad)
