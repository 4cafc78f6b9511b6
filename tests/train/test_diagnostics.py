"""What is told of gates, units and gradients, by hand."""

from math import log

import pytest
import torch
from torch.testing import assert_close

from mtlbench.train.diagnostics import agreement, dead_units, fewest, gates, plain


def test_gates_by_hand() -> None:
    one, other = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2), torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 2)
    even = torch.full((2, 4), 0.25)
    found = gates({"one": one, "other": other, "even": even})
    assert found["entropy"] == {"one": 0.0, "other": 0.0, "even": 1.0}
    assert found["utilisation"]["other"] == [0, 1, 0, 0]
    # Half of `even` and half of `one` is (5, 1, 1, 1) / 8.
    mixed = -(5 / 8 * log(5 / 8) + 3 / 8 * log(1 / 8)) / log(2)
    assert_close(found["similarity"][0], [1.0, 0.0, 1 - (mixed - 1)], rtol=1e-5, atol=1e-6)
    assert found["similarity"] == [list(column) for column in zip(*found["similarity"], strict=True)]


def test_a_gate_that_turns_with_the_row_is_used_evenly_and_has_no_entropy() -> None:
    found = gates({"click": torch.eye(3)})
    assert found["entropy"] == {"click": 0.0}
    assert_close(found["utilisation"]["click"], [1 / 3] * 3, rtol=1e-5, atol=0.0)


def test_one_expert_leaves_no_entropy_to_tell() -> None:
    assert gates({"click": torch.ones(2, 1)})["entropy"] == {"click": None}
    assert gates({"click": torch.tensor([[1.0, torch.nan]] * 2)})["entropy"] == {"click": None}


def test_entropy_is_that_of_the_experts_that_a_task_can_see() -> None:
    """Even gates are 1 whatever is hidden; an expert that is seen and not taken counts."""
    nan = torch.nan
    one, other = [[0.5, nan, 0.5]] * 2, [[nan, 0.5, 0.5]] * 2
    found = gates({"one": torch.tensor(one), "other": torch.tensor(other)})
    assert found["entropy"] == {"one": 1.0, "other": 1.0}
    assert found["utilisation"] == {"one": [0.5, None, 0.5], "other": [None, 0.5, 0.5]}
    assert found["similarity"] == [[1.0, 0.5], [0.5, 1.0]]
    kept = gates({"one": torch.tensor([[0.5, 0.0, 0.5]] * 2)})
    assert kept["entropy"]["one"] == pytest.approx(log(2) / log(3), rel=1e-5)


def test_dead_units_are_counted_by_network() -> None:
    alive = {
        "experts.0.2": torch.tensor([True, False]),
        "experts.0.5": torch.tensor([True, True]),
        "towers.buy.2": torch.tensor([True]),
    }
    assert dead_units(alive) == {"share": 0.2, "units": 5, "parts": {"experts.0": 0.25}}


def test_too_few_negatives_are_too_few_and_labels_of_a_regression_task() -> None:
    nan = torch.nan
    labels = torch.tensor([[1.0, 0.0, 7.0], [1.0, nan, nan], [0.0, 1.0, 3.0], [1.0, 1.0, nan]])
    assert fewest([True, True, False], labels).tolist() == [1, 1, 2]


def test_agreement_by_hand() -> None:
    found = agreement(("a", "b", "c"), torch.tensor([[3.0, 4.0], [-4.0, 3.0], [-3.0, 0.0]]))
    assert found["norms"] == {"a": 5.0, "b": 5.0, "c": 3.0}
    assert found["cosines"] == [[1.0, 0.0, -0.6], [0.0, 1.0, 0.8], [-0.6, 0.8, 1.0]]
    assert found["conflict_share"] == pytest.approx(1 / 3, rel=1e-5)


def test_a_task_without_a_gradient_has_no_cosine() -> None:
    found = agreement(("a", "b"), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert found["cosines"] == [[1.0, None], [None, None]]
    assert found["conflict_share"] is None


def test_plain_numbers_are_short_and_never_nan() -> None:
    assert plain(torch.tensor([[1 / 3, float("nan")], [float("inf"), 2.0]])) == [[0.333333, None], [None, 2]]
