"""What `inspect` finds, and what it says of it."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mtlbench.errors import DataError, UsageError
from mtlbench.files import seal, write_json
from mtlbench.home import Home
from mtlbench.inspection.figure import draw
from mtlbench.inspection.summary import inspect, mean
from mtlbench.inspection.text import bar, sections, sparkline, title
from mtlbench.load import Prepared
from mtlbench.results import FORMAT
from tests.conftest import Command

TASKS = ["click", "buy"]


def store(home: Home, name: str, seed: int, minute: int = 0, **changes: Any) -> None:
    """A result of two tasks whose numbers grow with the seed; stopped after `looks` evaluations."""
    looks = int(changes.pop("looks", 2))
    cosines = changes.pop("cosines", [0.5 - 0.6 * i for i in range(1, looks + 1)])
    affinity = changes.pop("affinity", [[2e-5, -1e-6], [None, 3e-5]])
    run = {"method": "mmoe", "balancer": "equal", "method_options": {}, "balancer_options": {}, "seed": seed}
    evaluations = [
        {
            "step": 10 * i,
            "epoch": i / 2,
            "train_loss": {"click": 1 / i + seed, "buy": 0.5},
            "validation": {"click": 0.5 + i / 10, "buy": 0.6},
            "task_weights": {"click": 1.0 + seed, "buy": 1.0},
            "diagnostics": {
                "probe": {"rows": 2000 * i, "labels": dict.fromkeys(TASKS, 9), "positives": {"buy": 30 * i}},
                "dead_units": {"share": 0.1, "units": 10, "parts": {f"experts.{seed}": 0.5}},
                "gates": {
                    "entropy": {"click": 0.2 * i, "buy": None},
                    "utilisation": {"click": [0.25, 0.75, 0.0], "buy": [1.0, 0.0, None]},
                    "similarity": [[1.0, 0.5], [0.5, 1.0]],
                },
                "task_matrices": {"stitch": [[0.9, 0.1], [0.2, 0.8]]},
                "gradients": {
                    "dense": {
                        "norms": {"click": 1.0, "buy": 2.0},
                        "cosines": [[1.0, cosines[i - 1]], [cosines[i - 1], 1.0]],
                        "conflict_share": None if cosines[i - 1] is None else float(cosines[i - 1] < 0),
                    }
                },
                "affinity": affinity,
            },
        }
        for i in range(1, looks + 1)
    ]
    data = {
        "format": FORMAT,
        "dataset": "toy",
        "simulated": True,
        "run": {**run, **changes},
        "tasks": TASKS,
        "schema": {"fields": [], "tasks": [{"name": t} for t in TASKS], "cluster": "user", "time": ""},
        "history": [{"tasks": TASKS, "evaluations": evaluations}],
        "checkpoint": {t: {"deployable": 10, "best": 20} for t in TASKS},
        "costs": {"parameters": 100, "train_rows": 1000, "train_seconds": 2.0},
        "finished_at": f"2026-01-01T00:{minute:02}:00+00:00",
    }
    write_json(home.runs("toy") / name / "result.json", data)
    seal(home.runs("toy") / name)


def test_a_method_is_the_newest_arm_over_its_seeds(home: Home) -> None:
    """The arm with equal weights, as everywhere; another one where there is none."""
    for seed in (0, 2):
        store(home, f"aaaa{seed}", seed, minute=seed)
        store(home, f"bbbb{seed}", seed, minute=10 + seed, balancer="pcgrad")
        store(home, f"cccc{seed}", seed, method="ple", balancer="pcgrad")
    assert inspect(home, "mmoe")["hashes"] == ["aaaa0", "aaaa2"]
    assert inspect(home, "ple")["balancer"] == "pcgrad"
    found = inspect(home, "mmoe + pcgrad")
    assert (found["balancer"], found["seeds"], found["hashes"]) == ("pcgrad", [0, 2], ["bbbb0", "bbbb2"])
    assert found["curves"]["click"]["task_weights"] == [2.0, 2.0]
    assert found["state"]["dead_units"]["parts"] == {"experts.0": 0.25, "experts.2": 0.25}


def test_a_hash_is_found_by_its_beginning(home: Home) -> None:
    store(home, "abcd1234", 0)
    store(home, "abcd5678", 1)
    assert inspect(home, "abcd5")["seeds"] == [1]
    with pytest.raises(UsageError, match=r"beginning of 2: abcd1234 \(mmoe, seed 0\), abcd5678"):
        inspect(home, "abcd")


def test_an_unknown_run_says_what_is_there(home: Home) -> None:
    with pytest.raises(DataError, match="mtlbench run"):
        inspect(home, "mmoe")
    store(home, "abcd1234", 0)
    with pytest.raises(UsageError, match="Did you mean 'mmoe'"):
        inspect(home, "mmeo")
    with pytest.raises(DataError, match="of 'other'"):
        inspect(home, "mmoe", "other")


def test_curves_are_means_over_the_seeds_that_still_train(home: Home) -> None:
    store(home, "aaaa", 0, looks=3)
    store(home, "bbbb", 1, looks=1)
    curve = inspect(home, "mmoe")["curves"]["click"]
    assert curve["steps"] == [10, 20, 30]
    assert curve["train_loss"] == pytest.approx([1.5, 1 / 2, 1 / 3])


def test_the_state_is_that_of_the_deployable_checkpoint(home: Home) -> None:
    store(home, "aaaa", 0)
    found = inspect(home, "mmoe")
    assert found["state"]["gates"]["entropy"] == {"click": 0.2, "buy": None}


def test_gradients_and_affinity_are_means_over_all_looks_and_seeds(home: Home) -> None:
    """A pair that half of the looks call a conflict is none where its mean cosine is not below 0."""
    store(home, "aaaa", 0, looks=3, cosines=[0.4, -0.1, -0.7])
    store(home, "bbbb", 1, looks=1, cosines=[0.4])
    found = inspect(home, "mmoe")["between_tasks"]
    dense = found["gradients"]["dense"]
    assert (found["looks"], found["rows"]) == (4, pytest.approx((1 + 2 + 3 + 1) * 2000 / 4))
    assert dense["cosines"][0][1] == pytest.approx(0)
    assert dense["conflict_share"] == 0.5
    assert found["affinity"] == [[pytest.approx(2e-5), pytest.approx(-1e-6)], [None, pytest.approx(3e-5)]]
    store(home, "bbbb", 1, looks=1, cosines=[0.8])
    dense = inspect(home, "mmoe")["between_tasks"]["gradients"]["dense"]
    assert (dense["conflict_share_of_means"], dense["conflict_share"]) == (0, 0.5)
    store(home, "bbbb", 1, looks=1, cosines=[-0.8])
    assert inspect(home, "mmoe")["between_tasks"]["gradients"]["dense"]["conflict_share_of_means"] == 1


def test_estimates_are_called_so_and_what_they_come_from(home: Home) -> None:
    store(home, "aaaa", 0)
    said = {grid.title: line for grid, line in sections(inspect(home, "aaaa"))}
    for title_ in ("Cosines of task gradients, dense", "Affinity (TAG), in millionths"):
        assert "Estimates, the mean of 2 looks at 3,000 rows each (positives: buy 45)." in said[title_]
        assert "too few" not in said[title_]
    assert (
        "Pairs that point apart: 100% of these means, 100% in single looks."
        in said["Cosines of task gradients, dense"]
    )


def test_a_task_that_has_too_few_positives_is_named(home: Home) -> None:
    store(home, "aaaa", 0, cosines=[None, None], affinity=[[1e-5, None], [None, None]])
    document = inspect(home, "aaaa")
    said = {grid.title: (grid.rows, line) for grid, line in sections(document)}
    rows, line = said["Cosines of task gradients, dense"]
    assert rows[0] == ["click", "+1.00", "-"]
    assert "No cosine, too few positives: buy." in line
    assert "None, too few positives: buy." in said["Affinity (TAG), in millionths"][1]
    draw(document)


def test_the_mean_leaves_out_what_is_not_known() -> None:
    assert mean([{"a": [1, None]}, {"a": [3, None], "b": 5}]) == {"a": [2, None], "b": 5}


def test_every_section_has_its_numbers(home: Home) -> None:
    store(home, "aaaa", 0)
    document = inspect(home, "aaaa")
    assert title(document) == "mmoe on toy (SIMULATED data), seed 0"
    shown = {grid.title: grid.rows for grid, _ in sections(document)}
    assert [row[0] for row in shown["Learning curves"]] == TASKS
    assert shown["Affinity (TAG), in millionths"] == [["click", "+20.0", "-1.0"], ["buy", "-", "+30.0"]]
    assert shown["Cosines of task gradients, dense"][0] == ["click", "+1.00", "-0.40"]
    assert shown["Matrix stitch"][1] == ["buy", "+0.200", "+0.800"]
    assert shown["Gates"][1] == ["buy", "-", "█ 100%", "▁ 0%", "-"]
    assert shown["Dead units, 10.0% of 10"] == [["experts.0", bar(0.5), "50%"]]


def test_results_from_before_the_diagnostics_show_their_curves(home: Home) -> None:
    store(home, "aaaa", 0, looks=0)
    document = inspect(home, "mmoe")
    assert list(sections(document)) == []
    assert document["state"] == {}


def test_sparklines_span_lowest_to_highest() -> None:
    assert sparkline([0.0, None, 1.0, 0.5]) == "▁ █▅"
    assert sparkline([2.0, 2.0]) == "▁▁"


def test_the_figure_is_svg_and_always_the_same(home: Home, tmp_path: Path) -> None:
    store(home, "aaaa", 0)
    document = inspect(home, "mmoe")
    text = draw(document)
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert draw(document) == text


def test_a_run_is_inspected_from_the_command_line(mtlbench: Command, toy: Prepared) -> None:
    quick = ("--epochs", "1", "--batch-rows", "64", "--set", "method.network=4", "--workers", "1")
    mtlbench("run", "--method", "mmoe", "--seeds", "2", "--no-baseline", "--no-track", *quick)
    answer = mtlbench("inspect", "mmoe", "--svg", "figures/mmoe.svg")
    assert answer.code == 0
    assert "mmoe on toy (SIMULATED data), mean of seeds 0 1" in answer.out
    for section in ("Learning curves", "Gates", "Cosines of task gradients, dense", "Affinity", "Cost"):
        assert section in answer.out
    assert ElementTree.parse("figures/mmoe.svg").getroot().tag.endswith("svg")
    seed = mtlbench("inspect", mtlbench("inspect", "mmoe", "--json").json["hashes"][1], "--json").json
    assert seed["seeds"] == [1]
    assert mtlbench("inspect", "mmeo").code == 2
