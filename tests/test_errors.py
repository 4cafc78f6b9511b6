"""What an unknown name is answered with."""

import pytest

from mtlbench.errors import MOST_NAMES, UsageError, unknown
from mtlbench.methods import METHODS
from mtlbench.registry import lookup


def test_a_close_match_ignores_case_and_is_spelt_as_it_is() -> None:
    assert "Did you mean 'mmoe'?" in str(unknown("method", "MMoE", ["mmoe", "ple"]))
    assert "Did you mean 'Gift_Cards'?" in str(unknown("category", "gift_cards", ["Gift_Cards", "Books"]))
    assert "Did you mean" not in str(unknown("method", "xyzzy", ["mmoe", "ple"]))


def test_few_names_are_all_said() -> None:
    assert str(unknown("task", "bye", ["view", "buy"])) == (
        "Unknown task 'bye'. Did you mean 'buy'? Known: buy, view."
    )
    assert str(unknown("task", "bye", [])).endswith("Known: none.")
    names = [f"n{i:02}" for i in range(MOST_NAMES)]
    assert f"Known: {', '.join(names)}." in str(unknown("task", "x", names, "a list"))


def test_many_names_are_left_to_their_list_else_the_nearest_are_said() -> None:
    names = [f"column_{letter}" for letter in "abcdefghijklmnopqrstu"]
    assert str(unknown("method", "zz", names, "mtlbench list methods")) == (
        "Unknown method 'zz'. All names: mtlbench list methods."
    )
    said = str(unknown("column", "column_u", names))
    assert "column_u" in said.split("Known: ")[1]
    assert said.endswith(f" and {len(names) - MOST_NAMES} more.")
    assert said.count("column_") == MOST_NAMES + 2


def test_names_of_baselines_are_listed_by_a_command_that_exists() -> None:
    with pytest.raises(UsageError, match="All names: mtlbench list methods"):
        lookup(METHODS, "zz", "baseline")
