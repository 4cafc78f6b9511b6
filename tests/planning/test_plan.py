"""`mtlbench plan` whole: the pilot is trained once and kept for `run`, nothing of its gains comes out."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlbench.cli import main
from mtlbench.config import Benchmark, fill
from mtlbench.errors import MtlbenchError, UsageError
from mtlbench.experiment.grid import plan as grid_plan
from mtlbench.experiment.grid import rows_to_train
from mtlbench.experiment.run import Execution
from mtlbench.home import Home
from mtlbench.load import Prepared
from mtlbench.planning.pace import seconds_a_row, time_needed
from mtlbench.planning.plan import plan_benchmark
from mtlbench.render import grid
from mtlbench.results import Result
from mtlbench.runs.store import finished
from tests.planning.shifted import leaves, near, shift_gain

QUICK = {"epochs": 1, "batch_rows": 64}
FAMILY = {"tasks": ["click", "rating"], "delta": {"click": 0.5}}


def as_written(*methods: str) -> list[dict[str, Any]]:
    return [{"method": method, "method_options": {"network": [4]}} for method in methods]


def benchmark(*methods: str, seeds: int = 6, **values: Any) -> Benchmark:
    run = as_written("single-task", *methods)
    given = {
        "name": "test",
        "dataset": "toy",
        "seeds": seeds,
        "training": QUICK,
        "family": FAMILY,
        "run": run,
    }
    return fill(Benchmark, {**given, **values}, "test").with_baseline()


def planned(home: Home, chosen: Benchmark) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    document = plan_benchmark(home, chosen, Execution(workers=1), said.append, grid)
    return document, said


@pytest.fixture
def document(home: Home, toy: Prepared) -> dict[str, Any]:
    return planned(home, benchmark("hard-sharing", "mmoe"))[0]


def test_the_document_says_what_can_be_seen_and_how_long_it_takes(document: dict[str, Any]) -> None:
    json.dumps(document, allow_nan=False)
    assert document["pilot"] == {"methods": ["single-task", "hard-sharing"], "seeds": [0, 1, 2, 3, 4]}
    assert (document["seeds"], document["family_size"]) == (6, 4)
    assert [(task["task"], task["delta"]) for task in document["tasks"]] == [
        ("click", 0.5),
        ("rating", 0.005),
    ]
    for task in document["tasks"]:
        assert task["minimum_detectable_effect"] > 0
        assert task["decides"] is (task["minimum_detectable_effect"] <= task["delta"])
    assert document["time"]["runs"] == 3 * 6 - 2 * 5
    assert 0 < document["time"]["like_pilot"] <= document["time"]["at_most"]
    assert document["notes"][0].startswith("A family of 4 wants 10 seeds")


def test_nothing_of_what_the_pilot_gained_is_in_it(home: Home, toy: Prepared) -> None:
    """A pilot whose gain alone is another one makes the same document, whatever its numbers are called."""
    family = {"tasks": ["rating"], "delta": {"rating": 0.5}}
    chosen = benchmark("hard-sharing", seeds=5, family=family)
    plain, _ = planned(home, chosen)
    arms = grid_plan(chosen, toy.schema, toy.fingerprint)
    (sharing,) = (arm for arm in arms if arm[0].method == "hard-sharing")
    for spec in sharing:
        result = finished(home, toy.name, spec)
        assert result is not None
        shift_gain(result, "rating")
    other, _ = planned(home, chosen)
    assert plain["tasks"][0]["se"] > 0
    assert leaves(other) == near(plain, rel=1e-3)
    assert not list(home.results.glob("plans/*"))


def test_run_does_not_do_the_pilot_again(document: dict[str, Any], home: Home, toy: Prepared) -> None:
    from mtlbench.experiment.run import run

    said: list[str] = []
    chosen = benchmark("hard-sharing", "mmoe")
    ran = run(home, chosen, Execution(workers=1, track=False), said.append, grid)
    states = {(one["method"], one["seed"]): one["status"] for one in ran["runs"]}
    for (method, seed), status in states.items():
        pilot = method in document["pilot"]["methods"] and seed in document["pilot"]["seeds"]
        assert status == ("reused" if pilot else "done")
    assert ran["plan"]["tasks"] == document["tasks"]
    assert any("cannot" in line for line in said)  # rating, .005 R2 from 40 users
    again = run(home, chosen, Execution(workers=1, track=False), said.append, grid)
    assert again["plan"] == ran["plan"]


def test_what_is_planned_is_what_the_comparison_then_has(home: Home, toy: Prepared) -> None:
    """Family, level and clusters of the plan are those of the verdicts; a floor beside counts in neither."""
    from mtlbench.experiment.run import run

    base_rate = {"method": "base-rate"}
    chosen = benchmark(seeds=5, run=[*as_written("single-task", "hard-sharing"), base_rate])
    document, _ = planned(home, chosen)
    ran = run(home, chosen, Execution(workers=1, track=False), lambda line: None, grid)
    assert ran["other_families"][0]["arms"] == ["base-rate"]
    compared = [c for c in ran["comparisons"] if c["family"] == "methods"]
    for task, c in zip(document["tasks"], compared, strict=True):
        assert document["family_size"] == c["family_size"]
        assert [task[key] for key in ("task", "delta", "delta_unit", "clusters")] == [
            c[key] for key in ("task", "delta", "delta_unit", "clusters")
        ]
        assert (
            task["minimum_detectable_effect"] > c["minimum_detectable_effect"]
        )  # the same runs, but the bound


def test_with_too_few_seeds_the_pilot_says_which_are_its_own(home: Home, toy: Prepared) -> None:
    document, _ = planned(home, benchmark("hard-sharing", seeds=2))
    assert document["pilot"]["seeds"] == [0, 1, 2, 3, 4]
    assert document["seeds"] == 5
    assert "no verdict will be given" in document["notes"][0]
    assert document["notes"][1] == "The pilot's seeds 2, 3, 4 are not the benchmark's."


def test_without_two_methods_there_is_no_plan(home: Home, toy: Prepared) -> None:
    with pytest.raises(UsageError, match="no two methods to train"):
        planned(home, benchmark())


def test_a_pilot_that_fails_is_said(home: Home, toy: Prepared) -> None:
    wild = {**QUICK, "learning_rate": 1e30}
    with pytest.raises(MtlbenchError, match=r"pilot runs failed: the loss was no longer finite"):
        planned(home, benchmark("hard-sharing", training=wild))


def test_the_command_prints_a_table_and_a_sentence(
    home: Home, toy: Prepared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(home.root) / "own.toml"
    lines = ['dataset = "toy"', "seeds = 5", "[training]", "epochs = 1", "batch_rows = 64"]
    file.write_text("\n".join([*lines, "[[run]]", 'method = "hard-sharing"']) + "\n")
    monkeypatch.setenv("MTLBENCH_HOME", str(home.root))

    def call(*args: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mtlbench", "plan", str(file), "--workers", "1", *args])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out

    printed = call()
    assert "SIMULATED" in printed
    assert "smallest seen" in printed
    assert "With 5 seeds this benchmark" in printed
    assert "Time: nothing is left to train." in printed
    assert json.loads(call("--json"))["dataset"] == "toy"


def test_a_row_takes_a_measurable_time_and_leaves_nothing_behind(
    home: Home, make_prepared: Callable[..., Prepared]
) -> None:
    prepared = make_prepared(rows=6000)
    [arm] = grid_plan(benchmark(), prepared.schema, prepared.fingerprint)
    pace = seconds_a_row(arm, prepared, torch.device("cpu"))
    assert 1e-8 < pace < 1e-2
    assert not home.results.exists()


def test_the_time_is_the_steps_and_what_the_pilot_took_beside_them(
    toy: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row costs 1 ms here; the pilot took 3 s over 1,000 rows, and stopped after half of its one epoch."""
    monkeypatch.setattr("mtlbench.planning.pace.seconds_a_row", lambda specs, prepared, device: 1e-3)
    arms = grid_plan(benchmark("hard-sharing"), toy.schema, toy.fingerprint)
    history = [{"evaluations": [{"epoch": 0.5}]}]
    costs = {"train_rows": 1000, "wall_seconds": 3.0}
    pilot = [Result(toy.path, {"run": arm[0].to_json(), "costs": costs, "history": history}) for arm in arms]
    rows = sum(rows_to_train(spec, toy) for spec in arms[1])
    found = time_needed([[], arms[1]], pilot, toy, torch.device("cpu"), workers=2)
    assert found["at_most"] == pytest.approx(3.0 * 1e-3 * rows / 2)
    assert found["like_pilot"] == pytest.approx(found["at_most"] / 2)
    assert (found["runs"], found["workers"], found["not_timed"]) == (6, 2, [])
    nothing = time_needed([[], []], pilot, toy, torch.device("cpu"), workers=2)
    assert (nothing["at_most"], nothing["runs"]) == (0.0, 0)


def test_floors_are_named_as_not_timed(toy: Prepared) -> None:
    arms = grid_plan(benchmark("hard-sharing", run=[{"method": "base-rate"}]), toy.schema, toy.fingerprint)
    found = time_needed([arms[1]], [], toy, torch.device("cpu"), workers=2)
    assert (found["at_most"], found["not_timed"]) == (0.0, ["base-rate"])
