"""Mutated test rows change nothing that models learn from; a row that is not of the test period is caught."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mtlbench.home import Home
from mtlbench.protocol.check import Lab
from mtlbench.protocol.leakage import LOG, TABLE, Source, a14, unchanged


def test_nothing_of_the_test_period_reaches_training(home: Home) -> None:
    findings = a14(Lab(home))
    assert [f.holds for f in findings] == [True, True]
    assert list(home.root.iterdir()) == []


@pytest.mark.parametrize("source", [LOG, TABLE], ids=["log", "table"])
def test_a_mutated_train_row_is_caught(home: Home, source: Source) -> None:
    def leaky(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        return source.mutate(rows, rng).filter(pl.int_range(pl.len()) != 0)

    if source is LOG:  # its mutation shuffles: take a train row away before
        finding = unchanged(home, replace(source, mutate=lambda rows, rng: source.mutate(rows[200:], rng)))
    else:
        finding = unchanged(home, replace(source, mutate=leaky))
    assert not finding.holds
    assert "train/" in finding.measured


def test_a_mutation_that_changes_nothing_does_not_count(home: Home) -> None:
    assert not unchanged(home, replace(TABLE, mutate=lambda rows, rng: rows)).holds
