"""What is said of a benchmark's power: every remedy in its own words, and nothing where all is well."""

from typing import Any

import pytest

from mtlbench.report.power import conclusion, how_long, too_few_seeds, undecided


def task(
    name: str, seen: float | None, seeds: int | None, clusters: int | None, **more: Any
) -> dict[str, Any]:
    """A task of delta .001 as the plan's document has it."""
    decides = seen is not None and seen <= 0.001
    about = {
        "task": name,
        "delta": 0.001,
        "delta_unit": "auc",
        "clusters": 200,
        "reason": "",
        "decides": decides,
    }
    return {
        **about,
        "minimum_detectable_effect": seen,
        "seeds_needed": seeds,
        "clusters_needed": clusters,
        **more,
    }


def power(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"seeds": 10, "cluster": "user", "tasks": list(tasks)}


FINE = task("view", 0.0009, 8, 150)


def test_where_all_is_decided_there_is_nothing_to_warn_of() -> None:
    assert undecided(power(FINE)) == []
    assert conclusion(power(FINE)).endswith("can detect an effect of its own delta on every task.")


@pytest.mark.parametrize(
    ("seeds", "clusters", "words"),
    [
        (41, 9000, "41 seeds would, or 9,000 test users in place of 200."),
        (41, None, "41 seeds would."),
        (None, 9000, "no number of seeds would, 9,000 test users in place of 200 would."),
        (None, None, "neither more seeds nor more test users alone would."),
    ],
)
def test_what_would_decide_is_said(seeds: int | None, clusters: int | None, words: str) -> None:
    [line] = undecided(power(FINE, task("buy", 0.0042, seeds, clusters)))
    assert line == f"buy: 10 seeds see effects from 0.0042 AUC on, not 0.001; {words}"


def test_what_the_pilot_cannot_tell_has_its_reason() -> None:
    [line] = undecided(power(task("buy", None, None, None, reason="20 users are too few")))
    assert line == "buy: the pilot cannot tell what will be seen: 20 users are too few."
    [line] = undecided(power(task("buy", None, None, None)))
    assert "too few degrees of freedom" in line


def test_the_conclusion_names_what_serves_all_undecided_tasks() -> None:
    some = [task("buy", 0.0042, 41, None), task("fav", 0.003, 20, None)]
    assert conclusion(power(FINE, *some)) == (
        "With 10 seeds this benchmark can detect an effect of its own delta on view; it cannot on buy, fav. "
        "41 seeds would."
    )
    users = conclusion(power(task("buy", 0.0042, None, 9000)))
    assert users.endswith("on any task. No number of seeds would; 9,000 test users would.")
    neither = conclusion(power(task("buy", 0.0042, None, None), task("fav", 0.003, 20, None)))
    assert neither.endswith("alone would; at a delta of 0.0042 it could.")


def test_too_few_seeds_are_named_by_what_they_cost() -> None:
    assert "no verdict will be given" in too_few_seeds(4, 1)[0]
    assert too_few_seeds(1, 1)[0].startswith("1 seed:")
    assert too_few_seeds(5, 12)[0].startswith("A family of 12 wants 10 seeds")
    assert "4 degrees of freedom" in too_few_seeds(5, 12)[0]
    assert too_few_seeds(5, 1) == []  # one comparison has no tail to be careful with
    assert too_few_seeds(10, 12) == []
    assert too_few_seeds(5, 40) == []  # ten seeds would not mend that


def test_time_is_said_in_units_that_one_reads() -> None:
    time = {
        "at_most": 7200.0,
        "like_pilot": 2400.0,
        "share_of_steps_in_pilot": 1 / 3,
        "runs": 30,
        "workers": 2,
    }
    said = how_long({**time, "not_timed": ["gbdt"]})
    assert "at most 2.0 h for the 30 runs to do, on 2 workers (gbdt not timed)" in said
    assert "40 min if all stop as early as the pilot did, after 33 % of its steps" in said
    assert how_long({**time, "not_timed": [], "runs": 0}) == "Time: nothing is left to train."
    assert "if all stop" not in how_long({**time, "not_timed": [], "share_of_steps_in_pilot": 1.0})
