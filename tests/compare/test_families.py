"""Methods and controls are judged apart: a control beside a method costs it nothing."""

from pathlib import Path
from typing import Any

import pytest

from mtlbench.compare import USUAL, Declared, compare
from mtlbench.compare.arms import group, identity_key
from mtlbench.compare.sides import is_control
from mtlbench.config import Family
from mtlbench.report import legend, markdown, remarks
from mtlbench.results import Result
from mtlbench.statistics.verdict import Verdict
from tests.compare.stored import ABOUT, SCHEMA, arm

CONTROLS = ("logistic", "base-rate", "gbdt", "disjoint", "embedding-sharing", "single-task-wide")


def results(path: Path, *methods: str, seeds: int = 6, **skill: float) -> list[Result]:
    return [r for method in ("single-task", *methods) for r in arm(path, method, seeds, skill)]


def renamed(result: Result, **run: str) -> Result:
    """The same with another method or balancer."""
    return Result(result.path, {**result.data, "run": {**result.data["run"], **run}})


def document(found: list[Result], family: Family = USUAL, **declared: Any) -> dict[str, Any]:
    return {**ABOUT, **compare(found, SCHEMA, family, Declared(**declared)).to_json()}


def of(written: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [c for c in written["comparisons"] if c["family"] == name]


@pytest.mark.parametrize("seeds", [6, 12])
def test_adding_controls_changes_nothing_for_the_methods(tmp_path: Path, seeds: int) -> None:
    """Not the last digit, though all together are over 20, where tails and degrees of freedom change."""
    methods = [
        *arm(tmp_path, "mmoe", seeds, {"view": 1.3, "buy": 0.9}),
        *arm(tmp_path, "hard-sharing", seeds, {"view": 1.05}),
    ]
    single = results(tmp_path, seeds=seeds)
    controls = [r for method in CONTROLS for r in arm(tmp_path, method, seeds)]
    alone = document([*single, *methods])
    beside = document([*controls, *single, *methods])
    assert len(beside["comparisons"]) > 20
    assert beside["family"] == alone["family"]
    assert of(beside, "methods") == alone["comparisons"]
    assert beside["summaries"][:2] == alone["summaries"]
    assert len({c["verdict"] for c in alone["comparisons"]}) > 1


def test_controls_are_judged_as_if_they_were_the_only_ones(tmp_path: Path) -> None:
    """Alone they are the family, under the name that it always has."""
    single = results(tmp_path)
    controls = [r for method in CONTROLS for r in arm(tmp_path, method, skill={"view": 1.1})]
    alone = document([*single, *controls])
    assert (alone["family"]["arms"], alone["family"]["size"]) == (list(CONTROLS), 18)
    assert alone["other_families"] == []
    assert of(alone, "methods") == alone["comparisons"]
    beside = document([*single, *arm(tmp_path, "mmoe"), *controls])
    assert [{**c, "family": "methods"} for c in of(beside, "controls")] == alone["comparisons"]


def test_a_control_can_be_called_as_a_method_can(tmp_path: Path) -> None:
    """A floor that is far worse is NEGATIVE, and a method beside it is not called harmed for that."""
    found = [*results(tmp_path, "mmoe"), *arm(tmp_path, "logistic", skill={"view": 0.2})]
    compared = compare(found, SCHEMA)
    verdicts = {(c.arm, c.task.name): c.judgement.verdict for c in compared.comparisons}
    assert verdicts["logistic", "view"] is Verdict.NEGATIVE
    assert verdicts["mmoe", "view"] is not Verdict.NEGATIVE
    harmed = {s.arm: s.secondary.harmed_tasks for s in compared.summaries}
    assert harmed == {"mmoe": (), "logistic": ("view",)}


def test_each_family_says_its_arms_and_size_and_methods_come_first(tmp_path: Path) -> None:
    found = results(tmp_path, "disjoint", "mmoe", "logistic", "hard-sharing")
    written = document(found, Family(tasks=("view", "buy")))
    assert (written["family"]["arms"], written["family"]["size"]) == (["mmoe", "hard-sharing"], 4)
    assert written["other_families"] == [{"name": "controls", "arms": ["disjoint", "logistic"], "size": 4}]
    assert [(c["arm"], c["family"], c["family_size"]) for c in written["comparisons"][::2]] == [
        ("mmoe", "methods", 4),
        ("hard-sharing", "methods", 4),
        ("disjoint", "controls", 4),
        ("logistic", "controls", 4),
    ]
    assert [s["arm"] for s in written["summaries"]] == ["mmoe", "hard-sharing", "disjoint", "logistic"]


def test_the_page_shows_both_and_says_which_is_which(tmp_path: Path) -> None:
    written = document(results(tmp_path, "logistic", "mmoe"))
    said = legend(written)
    assert said[0].startswith("Family, as compared here: 1 arm x 3 tasks = 3 comparisons;")
    assert said[1] == (
        "Controls, judged as a family of their own: 1 arm x 3 tasks = 3 comparisons (logistic)."
    )
    assert "| task | single-task | mmoe | logistic |" in markdown(written)
    without = legend(document(results(tmp_path / "again", "mmoe")))
    assert not any("Controls" in line for line in without)


def test_what_could_be_seen_and_the_wanted_seeds_are_of_the_methods(tmp_path: Path) -> None:
    """A floor of fewer seeds, whose contrasts are far noisier, changes neither sentence."""
    single, mine = results(tmp_path), arm(tmp_path, "mmoe")
    alone = document([*single, *mine])
    beside = document([*single, *mine, *arm(tmp_path, "logistic", seeds=3, skill={"view": 0.1})])
    (seen,) = (line for line in legend(alone) if line.startswith("Smallest gain"))
    assert seen in legend(beside)
    few = (
        "6 seeds are few for a family of 3: 10 can call smaller effects. Take them from the start, or 10 new "
        "ones: to add to these because a verdict was INCONCLUSIVE is a second look at the data "
        "(docs/protocol.md, section 8)."
    )
    assert few in remarks(alone)
    assert few in remarks(beside)


@pytest.mark.parametrize("seeds", [6, 12])
def test_members_without_a_result_count_as_if_they_were_there_with_p_1(tmp_path: Path, seeds: int) -> None:
    """A verdict on what is finished is no bolder than it will be when all is."""
    single = results(tmp_path, seeds=seeds)
    mine = arm(tmp_path, "mmoe", seeds, {"view": 1.3, "buy": 0.9})
    lost = [one for name in ("hard-sharing", "soft-sharing") for one in arm(tmp_path, name, seeds=1)]
    whole = document([*single, *mine, *lost])  # those of one seed have no p-value
    declared = document([*single, *mine], members={"methods": 9})
    alone = document([*single, *mine])
    assert declared["comparisons"] == [c for c in whole["comparisons"] if c["arm"] == "mmoe"]
    assert declared["family"]["size"] == 9
    assert min(c["adjusted_p_value"] for c in declared["comparisons"]) < 0.5
    for c, shrunk in zip(declared["comparisons"], alone["comparisons"], strict=True):
        assert c["adjusted_p_value"] > shrunk["adjusted_p_value"] or c["adjusted_p_value"] == 1
        assert c["minimum_detectable_effect"] > shrunk["minimum_detectable_effect"]
    assert "3 arms x 3 tasks = 9 comparisons, 3 of them here; verdicts" in legend(declared)[0]


def test_a_family_is_never_smaller_than_what_is_there(tmp_path: Path) -> None:
    found = results(tmp_path, "mmoe", "logistic")
    assert document(found, members={"methods": 2, "controls": 1}) == document(found)


def test_controls_alone_are_the_controls_that_were_declared(tmp_path: Path) -> None:
    found = results(tmp_path, "logistic")
    assert document(found, members={"methods": 12, "controls": 6})["family"]["size"] == 6
    assert document(found, members={"methods": 12})["family"]["size"] == 12  # a file of controls alone
    beside = document([*found, *arm(tmp_path, "mmoe")], members={"methods": 12, "controls": 6})
    assert (beside["family"]["size"], beside["other_families"][0]["size"]) == (12, 6)


def test_who_is_a_control_is_said_by_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that nobody registered counts as a method; its name says nothing."""
    assert all(map(is_control, (*CONTROLS, "single-task")))
    assert not any(map(is_control, ("mmoe", "hard-sharing", "soft-sharing", "their-own")))
    from mtlbench.methods import METHODS

    monkeypatch.setitem(METHODS, "their-own", METHODS["logistic"])
    assert is_control("their-own")


def test_families_that_a_file_names_are_judged_apart(tmp_path: Path) -> None:
    """Each as if the others were not there, in the order in which they are named, controls last."""
    found = results(tmp_path, "disjoint", "hard-sharing", "mmoe", view=1.2)
    others = [one for one in group(found) if one.method in ("hard-sharing", "mmoe")]
    names = {identity_key(one.identity): f"about {one.method}" for one in others}
    written = document(found, families=names, members={"about mmoe": 9})
    assert written["family"]["name"] == "about hard-sharing"
    assert [f["name"] for f in written["other_families"]] == ["about mmoe", "controls"]
    alone = document([r for r in found if r.method in ("single-task", "hard-sharing")])
    same = [{**c, "family": "methods"} for c in of(written, "about hard-sharing")]
    assert same == alone["comparisons"]
    assert written["other_families"][0]["size"] == 9
    assert any("About mmoe, judged as a family of their own: 3 arms x 3 tasks" in s for s in legend(written))


def test_the_baseline_with_a_balancer_is_held_against_it(tmp_path: Path) -> None:
    """So that a file can ask what balancers do to one method, not only to single-task."""
    hard = arm(tmp_path, "hard-sharing")
    same = arm(tmp_path / "balanced", "hard-sharing", skill={"view": 1.3})
    balanced = [renamed(r, balancer="pcgrad") for r in same]
    written = document([*hard, *balanced, *arm(tmp_path, "mmoe")], Family(baseline="hard-sharing"))
    assert written["family"]["arms"] == ["hard-sharing + pcgrad", "mmoe"]
    assert all(c["gain"] is not None for c in written["comparisons"])


def test_a_family_of_floors_that_a_file_declares_has_its_own_size(tmp_path: Path) -> None:
    found = results(tmp_path, "logistic", "disjoint")
    logistic = next(one for one in group(found) if one.method == "logistic")
    families = {identity_key(logistic.identity): "floors"}
    written = document(found, families=families, members={"floors": 8, "controls": 4})
    assert (written["family"]["name"], written["family"]["size"]) == ("floors", 8)
