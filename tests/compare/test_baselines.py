"""Any method can be the baseline; one that is made to match another serves that one alone."""

from pathlib import Path

import pytest

from mtlbench.compare import compare
from mtlbench.config import Family
from mtlbench.report.remarks import remarks
from mtlbench.results import Result
from tests.compare.stored import SCHEMA, arm, by_task


def wide(path: Path, match: str, **options: object) -> list[Result]:
    made = {"network": [64], "match": match, "match_options": options}
    return arm(path, "single-task-wide", method_options=made)


def test_a_control_serves_the_arm_that_it_matches(tmp_path: Path) -> None:
    """With two controls and two arms, each arm has the gain that it has beside its own control alone."""
    for_mmoe, for_hard = wide(tmp_path, "mmoe", experts=4), wide(tmp_path, "hard-sharing")
    mmoe = arm(tmp_path, "mmoe", method_options={"experts": 4})
    hard = arm(tmp_path, "hard-sharing", skill={"view": 1.2})
    both = compare([*for_hard, *hard, *mmoe, *for_mmoe], SCHEMA, Family(baseline="single-task-wide"))
    for results, method in (([*for_mmoe, *mmoe], "mmoe"), ([*for_hard, *hard], "hard-sharing")):
        alone = by_task(compare(results, SCHEMA, Family(baseline="single-task-wide")), method)
        for task, c in by_task(both, method).items():
            assert (c["gain"], c["se"]) == (alone[task]["gain"], alone[task]["se"])
            assert c["family_size"] == 6  # the controls are no members
    values = {by_task(both, method)["view"]["baseline_value"] for method in ("mmoe", "hard-sharing")}
    assert len(values) == 2


@pytest.mark.parametrize("options", [{"experts": 8}, {"experts": 4, "depth": 1}])
def test_a_control_of_other_options_serves_nobody(tmp_path: Path, options: dict[str, object]) -> None:
    mine = arm(tmp_path, "mmoe", method_options={"experts": 4})
    found = by_task(
        compare([*wide(tmp_path, "mmoe", **options), *mine], SCHEMA, Family(baseline="single-task-wide"))
    )
    assert {c["verdict"] for c in found.values()} == {"NO_VERDICT"}
    assert "not exactly one is made for this arm" in found["view"]["reason"]


def test_any_method_can_be_the_baseline_and_single_task_is_a_control_then(tmp_path: Path) -> None:
    """Nothing is said of the planted truth of sharing where neither side shares."""
    results = [result for method in ("single-task", "disjoint", "mmoe") for result in arm(tmp_path, method)]
    written = compare(results, SCHEMA, Family(baseline="disjoint")).to_json()
    assert written["family"] == {
        "name": "methods",
        "baseline": "disjoint",
        "arms": ["mmoe"],
        "tasks": ["view", "buy", "stars"],
        "size": 3,
        "alpha": 0.05,
        "declared": None,
    }
    (controls,) = written["other_families"]
    assert controls == {"name": "controls", "arms": ["single-task"], "size": 3}
    truths = {(c["method"], c["task"]): c.get("truth") for c in written["comparisons"]}
    assert truths["mmoe", "view"] == "helps"
    assert truths["single-task", "view"] is None


def test_a_baseline_of_another_network_is_said(tmp_path: Path) -> None:
    """In every option that both have, and in no other; with the same options nothing is said."""
    single = {"embedding_dim": 8, "network": [64, 32], "dropout": 0.0}
    base = arm(tmp_path, "single-task", method_options=single)
    same = arm(tmp_path, "mmoe", method_options={**single, "experts": 4})
    wide = {**single, "embedding_dim": 32, "network": [16]}
    other = arm(tmp_path, "hard-sharing", method_options=wide)
    written = compare([*base, *same, *other], SCHEMA).to_json()
    said = {(c["arm"], g["message"]) for c in written["comparisons"] for g in c["guards"]}
    message = "hard-sharing and its baseline differ in embedding_dim (32, 8), network ([16], [64, 32])"
    assert said == {("hard-sharing", message)}
    document = {**written, "seed_groups": [], "runs": [], "simulated": False}
    assert [line for line in remarks(document) if "differ" in line] == [f"{message}."]


def test_of_two_baselines_an_arm_has_the_one_of_its_network(tmp_path: Path) -> None:
    """The same gain as beside that one alone; an arm of neither network has no verdict."""
    narrow, broad, third = ({"embedding_dim": dim} for dim in (2, 8, 32))
    bases = [arm(tmp_path, "single-task", method_options=options) for options in (narrow, broad)]
    mine = arm(tmp_path, "mmoe", method_options={**broad, "experts": 4})
    none = arm(tmp_path, "hard-sharing", method_options=third)
    both = compare([*bases[0], *bases[1], *mine, *none], SCHEMA)
    alone = compare([*bases[1], *mine], SCHEMA)
    gains = [{task: c["gain"] for task, c in by_task(found).items()} for found in (both, alone)]
    assert gains[0] == gains[1]
    assert {c["verdict"] for c in by_task(both, "hard-sharing").values()} == {"NO_VERDICT"}
