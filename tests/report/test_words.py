"""What is said below the tables."""

from typing import Any

import pytest

from mtlbench.report import needs, remarks
from mtlbench.report.document import cut_short
from mtlbench.report.needs import to_decide
from mtlbench.report.words import legend, peaks_elsewhere


def comparison(**changes: Any) -> dict[str, Any]:
    return {
        "arm": "mmoe", "task": "view", "verdict": "INCONCLUSIVE", "seeds": 5, "clusters": 800, "gain": 0.01,
        "gain_best": 0.01, "interval_best": [-0.01, 0.03], "delta": 0.001, "delta_unit": "auc",
        "tuned": False, "minimum_detectable_effect": 0.02, "seeds_needed": None, "clusters_needed": None,
        "guards": [], "peaks_apart": False, **changes,
    }  # fmt: skip


def document(*comparisons: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "family": {
            "name": "methods",
            "baseline": "single-task",
            "arms": ["mmoe"],
            "tasks": ["view"],
            "size": 1,
            "alpha": 0.05,
            "declared": None,
        },
        "other_families": [],
        "comparisons": comparisons, "summaries": [], "seed_groups": [], "runs": [],
        "simulated": False, "cluster": "user",
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seeds", "users", "cell", "sentence"),
    [
        (
            30,
            40_103,
            ["30 seeds", "or 41,000 users"],
            "with 800 users, about 30 seeds; or with 5 seeds, about 41,000",
        ),
        (
            None,
            40_103,
            ["41,000 users", "(seeds alone: none)"],
            "41,000 users; no number of seeds alone would",
        ),
        (112, None, ["120 seeds", "(users alone: none)"], "about 120 seeds; no number of users alone would"),
        (None, None, ["more seeds", "and more users"], "it takes more of both"),
        (210_000, None, ["over 1,000 seeds", "(users alone: none)"], "with 800 users, over 1,000 seeds; no"),
    ],
)
def test_every_inconclusive_says_what_would_decide_it(
    seeds: int | None, users: int | None, cell: list[str], sentence: str
) -> None:
    c = comparison(seeds_needed=seeds, clusters_needed=users)
    assert needs(c, "users") == cell
    assert sentence in to_decide(c, "users")
    for verdict in ("POSITIVE", "NO_VERDICT", "EQUIVALENT"):
        assert needs({**c, "verdict": verdict}, "users") == []
        assert to_decide({**c, "verdict": verdict}, "users") == ""


def test_the_family_is_printed_with_who_declared_it() -> None:
    family = {
        "name": "methods",
        "baseline": "x",
        "arms": ["a", "b"],
        "tasks": ["s", "t", "u"],
        "size": 6,
        "alpha": 0.05,
    }
    said = legend(document(comparison(), family={**family, "declared": "demo"}))[0]
    assert said.startswith("Family, declared by the benchmark demo: 2 arms x 3 tasks = 6 comparisons")
    said = legend(document(comparison(), family={**family, "declared": None}))[0]
    assert said.startswith("Family, as compared here:")


def test_a_family_says_how_much_of_it_is_here() -> None:
    family = {
        "name": "methods",
        "baseline": "x",
        "arms": ["a"],
        "tasks": ["s", "t"],
        "size": 6,
        "alpha": 0.05,
        "declared": "d",
    }
    assert (
        "3 arms x 2 tasks = 6 comparisons, 2 of them here; verdicts"
        in legend(document(comparison(), family=family))[0]
    )


def test_a_weak_pairing_is_stored_and_not_printed() -> None:
    """It costs power, which the interval shows, and puts nothing in doubt."""
    guard = {"guard": "pairing", "message": "little in common"}
    assert remarks(document(comparison(guards=[guard]))) == []


def test_effects_have_their_units() -> None:
    cells = [
        comparison(),
        comparison(delta=0.002, delta_unit="relative log_loss"),
        comparison(delta_unit="r2"),
    ]
    text = " ".join(legend(document(*cells)))
    assert "smallest effect that matters: 0.001 AUC (view), 0.2 % of log loss (view), 0.001 R2 (view)" in text
    assert "0.0200 relative log loss" in text


def test_an_effect_that_no_auc_can_have_is_not_told() -> None:
    """An R2 may rise by more."""
    cells = [
        comparison(minimum_detectable_effect=0.7),
        comparison(minimum_detectable_effect=0.7, delta_unit="r2"),
    ]
    assert any("power .80): 0.7000 R2." in line for line in legend(document(*cells)))


def test_warnings_of_several_seeds_are_one_line() -> None:
    runs = [
        {"method": "mmoe", "balancer": "equal", "seed": s, "status": "done", "reason": "", "warnings": w}
        for s, w in enumerate((["odd", "rare"], ["odd"], ["odd"]))
    ]
    assert remarks(document(runs=runs)) == ["mmoe: odd", "mmoe, seed 0: rare"]


def test_a_grid_that_failed_whole_says_so() -> None:
    failed = {
        "method": "mmoe",
        "balancer": "equal",
        "seed": 0,
        "status": "failed",
        "reason": "it broke",
        "warnings": [],
    }
    assert remarks(document(runs=[failed, failed])) == ["all 2 runs failed: it broke"]
    done = {**failed, "status": "done"}
    assert remarks(document(runs=[failed, done])) == ["1 of 2 runs failed: it broke"]


def test_no_verdict_names_the_members_unless_it_is_all_of_them() -> None:
    without = comparison(verdict="NO_VERDICT", reason="auc is undefined", task="buy")
    assert "no verdict (mmoe, buy): auc is undefined." in remarks(document(comparison(), without))
    assert "no verdict: auc is undefined." in remarks(document(without))


def test_an_own_peak_is_told_where_a_task_is_harmed() -> None:
    harmed = comparison(verdict="NEGATIVE", gain=-0.01, gain_best=-0.002)
    assert peaks_elsewhere(harmed)
    assert not peaks_elsewhere({**harmed, "gain_best": -0.01})
    assert peaks_elsewhere({**harmed, "verdict": "INCONCLUSIVE"})
    assert not peaks_elsewhere({**harmed, "verdict": "EQUIVALENT"})
    assert not peaks_elsewhere(comparison(verdict="INCONCLUSIVE", gain=0.01, gain_best=0.02))


def test_runs_that_were_still_getting_better_are_counted() -> None:
    run = {"method": "mmoe", "balancer": "equal", "seed": 0, "status": "done", "warnings": [], "reason": ""}
    said = remarks(document(runs=[{**run, "cut_short": True}, {**run, "cut_short": False}]))
    assert said == [
        "1 of 2 runs were still getting better when their epochs ended, so that gains partly say who learns "
        "faster: --epochs gives more of them."
    ]


@pytest.mark.parametrize(("epoch", "best", "expected"), [(2.0, 8, True), (1.5, 8, False), (2.0, 6, False)])
def test_a_run_is_cut_short_where_its_last_evaluation_is_its_best(
    epoch: float, best: int, expected: bool
) -> None:
    history = [{"tasks": ["view"], "evaluations": [{"epoch": 1.0, "step": 6}, {"epoch": epoch, "step": 8}]}]
    checkpoint = {"view": {"deployable": best, "best": 6}}
    data = {"run": {"training": {"epochs": 2}}, "history": history, "checkpoint": checkpoint}
    assert cut_short(data) is expected
    assert not cut_short({"run": {"training": {"epochs": 2}}, "checkpoint": {}, "history": []})
