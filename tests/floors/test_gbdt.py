"""Boosted trees: what they see of a row by hand, when they stop, and what they do with ids."""

from typing import Any

import numpy as np
import pytest

from mtlbench.floors.base import Constant, Estimator, Known
from mtlbench.floors.columns import Columns
from mtlbench.floors.gbdt import Gbdt, GbdtConfig
from mtlbench.schema import Field, Schema, Task
from tests.floors.toys import SCHEMA, VOCABULARIES, split

CLICK = Task(name="click")
COLOUR = Schema(fields=(Field(name="colour", kind="categorical", vocabulary="colour"),), tasks=(CLICK,))


def test_a_row_is_its_small_ids_numbers_and_what_its_sequences_hold() -> None:
    """Past items: how many, how often this item is there. Friends: how many, how often this user is."""
    gbdt = Gbdt(SCHEMA, VOCABULARIES, GbdtConfig(), 0)
    seen = gbdt.features(Columns.of(SCHEMA, split(), slice(None)))
    assert seen.dtype == np.float32
    assert seen.tolist() == [
        [2, 2, 0.5, 7, 2, 2, 2, 1],
        [3, 2, -1.0, 7, 2, 0, 2, 1],
        [4, 2, 0.0, 7, 2, 0, 2, 1],
        [2, 3, 2.0, 8, 0, 0, 1, 0],
    ]


def test_ids_of_large_vocabularies_are_left_out() -> None:
    gbdt = Gbdt(SCHEMA, {"item": 256, "user": 255}, GbdtConfig(), 0)
    assert gbdt.features(Columns.of(SCHEMA, split(), slice(None)))[:, :2].tolist() == [
        [2, 0.5],
        [2, -1.0],
        [2, 0.0],
        [3, 2.0],
    ]


def striped(rows: int, seed: int, noise: float = 0.1) -> Known:
    """Even colours happen, odd ones do not: only sets of ids can say so in few leaves."""
    draw = np.random.default_rng(seed)
    colour = draw.integers(2, 42, rows)
    label = (colour % 2 == 0) ^ (draw.random(rows) < noise)
    return Known(colour[:, None].astype(np.float32), label.astype(np.float32))


def fitted(train: Known, validation: Known, **options: Any) -> Estimator:
    gbdt = Gbdt(COLOUR, {"colour": 60}, GbdtConfig(min_rows_leaf=5, **options), 0)
    model = gbdt.fit_task(CLICK, train, validation)
    assert isinstance(model, Estimator)
    return model


def test_small_vocabularies_are_split_into_sets_of_ids() -> None:
    """One tree of two leaves tells all even colours from all odd ones, which no threshold could."""
    model = fitted(striped(4000, 0), striped(1000, 1), trees=1, max_leaf_nodes=2)
    even, odd = (model.predict(np.arange(2 + i, 42, 2, dtype=np.float32)[:, None]) for i in (0, 1))
    assert even.min() > odd.max()


def test_an_id_that_train_has_not_is_scored() -> None:
    model = fitted(striped(4000, 0), striped(1000, 1))
    assert 0 < model.predict(np.array([[55.0], [0.0]], np.float32)).min() < 1


def test_trees_are_added_until_validation_has_had_enough() -> None:
    train = striped(4000, 0)
    stopped = fitted(train, striped(1000, 1), trees=200, patience=5)
    assert stopped.fitted.n_iter_ < 200
    unwatched = fitted(train, Known(train.features[:0], train.label[:0]), trees=60, patience=5)
    assert unwatched.fitted.n_iter_ == 60


def test_stopping_reads_the_validation_rows_given_and_no_part_of_train() -> None:
    """Against validation labels turned round, the first tree is already too much."""
    validation = striped(1000, 1)
    turned = Known(validation.features, 1 - validation.label)
    assert fitted(striped(4000, 0), turned, trees=200, patience=5).fitted.n_iter_ <= 6


def test_without_anything_to_see_it_is_the_base_rate() -> None:
    nothing = Known(np.empty((4, 0), np.float32), np.array([1, 0, 0, 0], np.float32))
    gbdt = Gbdt(COLOUR, {"colour": 1000}, GbdtConfig(), 0)
    assert gbdt.fit_task(CLICK, nothing, nothing) == Constant(0.25)


@pytest.mark.parametrize("bad", [{"trees": 0}, {"max_leaf_nodes": 1}, {"learning_rate": 0.0}, {"l2": -1.0}])
def test_nonsense_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        GbdtConfig(**bad)
