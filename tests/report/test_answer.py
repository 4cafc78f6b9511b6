"""The answer in words is that of the verdicts."""

from typing import Any

from mtlbench.report.answer import answer


def comparison(arm: str, task: str, verdict: str, low: float | None = -0.02) -> dict[str, Any]:
    interval = None if low is None else [low, 0.03]
    return {
        "arm": arm, "method": arm, "balancer": "equal", "baseline": "single-task", "task": task,
        "verdict": verdict, "adjusted_interval": interval,
    }  # fmt: skip


def document(*comparisons: dict[str, Any], groups: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    arms = list(dict.fromkeys(c["arm"] for c in comparisons))
    family = {"name": "methods", "baseline": "single-task", "arms": arms}
    summaries = [{"arm": arm, "costs": {"parameters": {"ratio": 0.5}}} for arm in arms]
    return {
        "family": family, "other_families": [], "comparisons": comparisons, "summaries": summaries,
        "seed_groups": groups,
    }  # fmt: skip


def test_each_task_stands_with_its_verdict() -> None:
    lines = answer(
        document(
            comparison("mmoe", "view", "POSITIVE"),
            comparison("mmoe", "cart", "NEGATIVE"),
            comparison("mmoe", "fav", "EQUIVALENT"),
            comparison("mmoe", "buy", "INCONCLUSIVE"),
            comparison("mmoe", "share", "POSITIVE"),
        )
    )
    assert lines == [
        "In short, compared with single-task:",
        "  mmoe: better on view, share; worse on cart; no difference that matters on fav; undecided on buy "
        "(a loss of 0.0200 is not ruled out); 0.50x the parameters.",
    ]


def test_a_task_that_does_not_lose_has_no_loss_to_rule_out() -> None:
    (_, line) = answer(document(comparison("mmoe", "buy", "INCONCLUSIVE", low=0.001)))
    assert "undecided on buy;" in line
    (_, line) = answer(document(comparison("mmoe", "buy", "NO_VERDICT", low=None)))
    assert "no verdict on buy;" in line


def test_a_verdict_over_seeds_in_two_groups_is_doubtful() -> None:
    group = {"arm": "single-task", "task": "buy"}
    (_, line) = answer(document(comparison("mmoe", "buy", "POSITIVE"), groups=(group,)))
    assert "better on buy (doubtful: see the note on its seeds)" in line


def test_of_many_methods_the_undecided_are_one_line() -> None:
    many = [comparison(f"m{i}", "buy", "INCONCLUSIVE") for i in range(11)]
    assert answer(document(*many))[1:] == ["  11 methods: undecided on every task."]
    lines = answer(document(comparison("mmoe", "buy", "NEGATIVE"), *many))
    assert lines[1:] == [
        "  mmoe: worse on buy; 0.50x the parameters.",
        "  11 others: undecided on every task.",
    ]
