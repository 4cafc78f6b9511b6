"""From results on disk to verdicts: what is paired, what is refused, what is written down."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench.compare import compare
from mtlbench.config import Family
from mtlbench.errors import DataError, UsageError
from mtlbench.results import Result, Scores
from tests.compare.stored import SCHEMA, USERS, arm, by_task, save, scores

CONTRACT = [
    *("method", "balancer", "baseline", "task", "metric", "gain", "se", "df", "variance", "interval"),
    *("p_value", "adjusted_p_value", "adjusted_interval", "alpha", "delta", "delta_unit", "family_size"),
    *("verdict", "material", "equivalent", "equivalence_p", "minimum_detectable_effect", "seeds"),
    *("clusters", "tuned"),
]


@pytest.fixture
def baseline(tmp_path: Path) -> list[Result]:
    return arm(tmp_path, "single-task")


def test_the_gain_is_the_mean_difference_of_the_metric(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe", skill={"view": 1.3})
    found = by_task(compare([*baseline, *mine], SCHEMA))
    for task, metric in (("view", "auc"), ("buy", "auc"), ("stars", "r2")):
        value, base = (
            np.mean([r.data["metrics"]["test"][task][metric] for r in results])
            for results in (mine, baseline)
        )
        c = found[task]
        assert (c["metric"], c["delta_unit"]) == (metric, metric)
        assert c["gain"] == pytest.approx(value - base, abs=1e-12)
        assert c["gain_best"] == pytest.approx(c["gain"], abs=1e-12)  # the same checkpoint here
        assert (c["value"], c["baseline_value"]) == pytest.approx((value, base), abs=1e-12)
        assert (c["seeds"], c["family_size"], c["tuned"]) == (6, 3, False)
    assert (found["view"]["delta"], found["stars"]["delta"]) == (0.001, 0.005)
    assert found["view"]["clusters"] == USERS
    assert found["stars"]["clusters"] == USERS - len(range(0, USERS, 7))
    view = found["view"]
    assert view["relative_improvement"] == pytest.approx(
        (view["value"] - 0.5) / (view["baseline_value"] - 0.5) - 1
    )
    assert found["stars"]["relative_improvement"] is None
    assert 0 <= view["share_of_seeds_gaining"] <= 1


def test_help_harm_and_seesaw(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe", skill={"view": 2.0, "buy": 0.3})
    compared = compare([*baseline, *mine], SCHEMA, Family(tasks=("view", "buy")))
    found = by_task(compared)
    assert (found["view"]["verdict"], found["view"]["truth"]) == ("POSITIVE", "helps")
    assert (found["buy"]["verdict"], found["buy"]["truth"]) == ("NEGATIVE", "harms")
    assert found["view"]["share_of_seeds_gaining"] == 1.0
    summary = compared.to_json()["summaries"][0]
    assert (summary["verdict"], summary["harmed_tasks"], summary["worst_task"]) == ("SEESAW", ["buy"], "buy")


def test_the_verdict_can_be_recomputed_from_what_is_written(tmp_path: Path, baseline: list[Result]) -> None:
    """gain, A, B, C, the kurtosis, S and U give se, df, p and interval by the protocol's formulas."""
    from scipy.stats import t

    mine = arm(tmp_path, "mmoe", skill={"view": 1.2})
    for c in compare([*baseline, *mine], SCHEMA).to_json()["comparisons"]:
        a, b, r = (c["variance"][k] for k in ("seed", "user", "residual"))
        s, u = c["seeds"], c["clusters"]
        variance = a + max(0, b - r)
        user_df = 2 / (2 / (u - 1) + max(0, c["variance"]["kurtosis"] - 3) / u)
        noise = a**2 / (s - 1) + (b > r) * (b**2 / user_df + r**2 / ((u - 1) * (s - 1)))
        assert c["se"] == pytest.approx(math.sqrt(variance))
        assert c["df"] == pytest.approx(variance**2 / noise)
        assert c["p_value"] == pytest.approx(2 * t.sf(abs(c["gain"]) / c["se"], c["df"]))
        reach = t.isf(0.025, c["df"]) * c["se"]
        assert c["interval"] == pytest.approx([c["gain"] - reach, c["gain"] + reach])
        assert c["equivalent"] == (c["equivalence_p"] <= c["alpha"])


def test_the_written_form_is_json_with_the_contracts_keys(tmp_path: Path, baseline: list[Result]) -> None:
    compared = compare([*baseline, *arm(tmp_path, "mmoe")], SCHEMA)
    written = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    for c in written["comparisons"]:
        assert not set(CONTRACT) - set(c)
        assert set(c["variance"]) == {"seed", "user", "residual", "kurtosis"}
        assert "reason" not in c
        assert ("truth" in c) == (c["task"] != "stars")
    assert {"method", "balancer", "verdict", "harmed_tasks", "costs"} <= set(written["summaries"][0])
    assert written["family"]["size"] == 3


def test_costs_stand_against_the_single_task_models_together(tmp_path: Path, baseline: list[Result]) -> None:
    costs = compare([*baseline, *arm(tmp_path, "mmoe")], SCHEMA).to_json()["summaries"][0]["costs"]
    assert costs == {
        "parameters": {"method": 150.0, "baseline": 300.0, "ratio": 0.5},
        "rows_per_second": {"method": 1002.5, "baseline": 1002.5, "ratio": 1.0},
        "wall_seconds": {"method": 8.0, "baseline": 8.0, "ratio": 1.0},
        "scored_per_second": {"method": 5000.0, "baseline": 2000.0, "ratio": 2.5},
    }


def test_identical_scores_are_equivalent(tmp_path: Path, baseline: list[Result]) -> None:
    twins = [save(tmp_path / f"twin{r.seed}", "disjoint", r.seed, r.scores()) for r in baseline]
    for c in compare([*baseline, *twins], SCHEMA).to_json()["comparisons"]:
        assert (c["gain"], c["se"], c["p_value"], c["verdict"]) == (0.0, 0.0, 1.0, "EQUIVALENT")


def test_swapping_the_arms_mirrors_everything(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe", skill={"view": 1.4, "buy": 0.7})
    forth = compare([*baseline, *mine], SCHEMA).to_json()["comparisons"]
    back = compare([*baseline, *mine], SCHEMA, Family(baseline="mmoe")).to_json()["comparisons"]
    mirrored = {"POSITIVE": "NEGATIVE", "NEGATIVE": "POSITIVE"}
    for a, b in zip(forth, back, strict=True):
        assert b["gain"] == -a["gain"]
        assert b["verdict"] == mirrored.get(a["verdict"], a["verdict"])
        for key in ("se", "df", "p_value", "adjusted_p_value", "equivalence_p", "minimum_detectable_effect"):
            assert b[key] == a[key]
        for key in ("interval", "adjusted_interval"):
            assert b[key] == [-x for x in reversed(a[key])]


def test_a_monotone_transform_of_the_scores_changes_no_auc_comparison(
    tmp_path: Path, baseline: list[Result]
) -> None:
    """A power of two in front is exact in float32, so ranks are kept to the last tie."""
    mine = arm(tmp_path, "mmoe")
    halved = []
    for result in mine:
        s = result.scores()
        score: dict[str, NDArray[np.float32]] = {t: x / np.float32(2) for t, x in s.score.items()}
        halved.append(
            save(tmp_path / f"h{result.seed}", "mmoe", result.seed, Scores(s.cluster, s.label, score, score))
        )
    whole = by_task(compare([*baseline, *mine], SCHEMA, Family(tasks=("view", "buy"))))
    assert by_task(compare([*baseline, *halved], SCHEMA, Family(tasks=("view", "buy")))) == whole


def test_methods_are_paired_by_the_seeds_both_have(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe", seeds=8, start=1)  # 1..8 against 0..5
    found = by_task(compare([*reversed(baseline), *mine], SCHEMA))
    shared = [r.data["metrics"]["test"]["view"]["auc"] for r in mine if r.seed <= 5]
    base = [r.data["metrics"]["test"]["view"]["auc"] for r in baseline if r.seed >= 1]
    assert found["view"]["seeds"] == 5
    assert found["view"]["gain"] == pytest.approx(np.mean(shared) - np.mean(base), abs=1e-12)


def test_few_seeds_few_users_and_one_class_get_no_verdict_but_a_reason(tmp_path: Path) -> None:
    few = [*arm(tmp_path / "a", "single-task", seeds=3), *arm(tmp_path / "a", "mmoe", seeds=3)]
    c = by_task(compare(few, SCHEMA))["view"]
    assert c["verdict"] == "NO_VERDICT"
    assert "3 paired seed" in c["reason"]
    assert c["p_value"] is not None

    single = [*arm(tmp_path / "b", "single-task", seeds=1), *arm(tmp_path / "b", "mmoe", seeds=1)]
    c = by_task(compare(single, SCHEMA))["view"]
    assert (c["verdict"], c["se"], c["interval"], c["p_value"]) == ("NO_VERDICT", None, None, None)
    assert c["gain"] is not None

    def shrunk(stored: Scores, rows: int, buys: bool) -> Scores:
        label = {t: x[:rows] for t, x in stored.label.items()}
        label["buy"] = label["buy"] * buys
        score = {t: x[:rows] for t, x in stored.score.items()}
        return Scores(stored.cluster[:rows], label, score, score)

    def results(name: str, rows: int, buys: bool) -> list[Result]:
        return [
            save(tmp_path / name / f"{method}{s}", method, s, shrunk(scores(s, {}, number), rows, buys))
            for number, method in enumerate(("single-task", "mmoe"))
            for s in range(5)
        ]

    c = by_task(compare(results("c", 12 * 20, buys=True), SCHEMA))["view"]
    assert (c["verdict"], c["clusters"]) == ("NO_VERDICT", 20)
    assert "20 user" in c["reason"]

    found = by_task(compare(results("d", 12 * USERS, buys=False), SCHEMA))
    assert (found["buy"]["verdict"], found["buy"]["gain"]) == ("NO_VERDICT", None)
    assert "auc is undefined: all labels are equal" in found["buy"]["reason"]
    assert (found["buy"]["clusters"], found["buy"]["seeds"]) == (USERS, 5)
    assert found["view"]["verdict"] != "NO_VERDICT"
    assert found["view"]["family_size"] == 3


def test_scores_that_are_not_finite_leave_only_their_task_without_verdict(
    tmp_path: Path, baseline: list[Result]
) -> None:
    mine = arm(tmp_path, "mmoe", seeds=5)
    broken = scores(5, {}, 1)
    broken.score["view"][3] = np.nan
    mine.append(save(tmp_path / "broken", "mmoe", 5, broken))
    found = by_task(compare([*baseline, *mine], SCHEMA))
    assert "not finite" in found["view"]["reason"]
    assert "reason" not in found["buy"]


def test_without_a_baseline_there_is_no_verdict(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe")
    for results in (mine, [*baseline[:2], *mine[2:]]):
        found = by_task(compare(results, SCHEMA))["view"]
        assert (found["verdict"], found["gain"], found["seeds"]) == ("NO_VERDICT", None, 0)
        assert "no single-task run" in found["reason"]
    nothing = compare(baseline, SCHEMA).to_json()
    assert (nothing["comparisons"], nothing["summaries"]) == ([], [])
    assert compare([], SCHEMA).to_json()["comparisons"] == []


def test_the_family_is_all_arms_times_the_declared_tasks(tmp_path: Path, baseline: list[Result]) -> None:
    arms = [
        *arm(tmp_path, "mmoe"),
        *arm(tmp_path, "mmoe", method_options={"experts": 8, "dims": [4]}),
        *arm(tmp_path, "mmoe", balancer="static", balancer_options={"weights": {"view": 2.0}}),
        *arm(tmp_path, "hard-sharing"),
    ]
    written = compare([*arms, *baseline], SCHEMA, Family(tasks=("buy", "view"))).to_json()
    names = ["mmoe", "mmoe (experts=8, dims=[4])", "mmoe + static", "hard-sharing"]
    assert [s["arm"] for s in written["summaries"]] == names
    assert [(c["arm"], c["task"]) for c in written["comparisons"]] == [
        (name, task) for name in names for task in ("buy", "view")
    ]
    assert {c["family_size"] for c in written["comparisons"]} == {8}
    assert written["comparisons"][2]["method_options"] == {"experts": 8, "dims": [4]}


def test_of_several_baselines_the_one_with_the_arms_options_counts(tmp_path: Path) -> None:
    narrow = arm(tmp_path, "single-task", method_options={"dims": [4]})
    wide = arm(tmp_path, "single-task", method_options={"dims": [9]})
    mine = arm(tmp_path, "mmoe", method_options={"dims": [9], "experts": 4})
    expected = by_task(compare([*wide, *mine], SCHEMA))
    assert by_task(compare([*narrow, *wide, *mine], SCHEMA)) == expected
    strange = arm(tmp_path, "mmoe", method_options={"dims": [7]})
    found = by_task(compare([*narrow, *wide, *strange], SCHEMA))["view"]
    assert found["verdict"] == "NO_VERDICT"
    assert "2 single-task arms" in found["reason"]


def test_alpha_and_delta_are_the_callers(tmp_path: Path, baseline: list[Result]) -> None:
    results = [*baseline, *arm(tmp_path, "mmoe")]
    strict = by_task(compare(results, SCHEMA, Family(alpha=0.01, delta=0.5)))["view"]
    usual = by_task(compare(results, SCHEMA))["view"]
    assert (strict["alpha"], strict["delta"]) == (0.01, 0.5)
    assert strict["equivalent"]
    assert strict["interval"] == usual["interval"]
    assert strict["adjusted_interval"][0] < usual["adjusted_interval"][0]
    for wrong in ({"alpha": 0.0}, {"alpha": 1.5}, {"delta": 0.0}, {"delta": math.inf}):
        with pytest.raises(ValueError, match="give "):
            Family(**wrong)  # type: ignore[arg-type]


def test_an_unknown_task_names_the_close_one(baseline: list[Result]) -> None:
    with pytest.raises(UsageError, match="Did you mean 'view'"):
        compare(baseline, SCHEMA, Family(tasks=("veiw",)))


@pytest.mark.parametrize("what", ["cluster", "label/buy", "label/stars"])
def test_other_test_rows_are_refused_by_the_folders_name(
    tmp_path: Path, baseline: list[Result], what: str
) -> None:
    s = scores(0, {}, 1)
    label = {t: x.copy() for t, x in s.label.items()}
    cluster = s.cluster.copy()
    if what == "cluster":
        cluster[0] += 1
    elif what == "label/buy":
        label["buy"][0] = 1 - label["buy"][0]
    else:
        label["stars"][np.isnan(label["stars"]).argmax()] = 3.0
    other = save(tmp_path / "other", "mmoe", 0, Scores(cluster, label, s.score, s.score))
    with pytest.raises(DataError, match=f"other was scored on other test rows.*{what} differ"):
        compare([*baseline, other], SCHEMA)


def test_damaged_score_files_are_named(tmp_path: Path, baseline: list[Result]) -> None:
    s = scores(0, {}, 1)
    missing = {t: x for t, x in s.score.items() if t != "buy"}
    torn = save(tmp_path / "torn", "mmoe", 0, Scores(s.cluster, s.label, missing, missing))
    with pytest.raises(DataError, match=r"torn.*score/buy is missing"):
        compare([*baseline, torn], SCHEMA)
    short = {**s.score, "view": s.score["view"][:-1]}
    folder = tmp_path / "short"
    folder.mkdir()
    Scores(s.cluster, s.label, short, short).save(folder / "scores.npz")
    with pytest.raises(DataError, match=r"short.*score/view"):
        compare([*baseline, Result(folder, torn.data)], SCHEMA)
    with pytest.raises(DataError, match="cannot be read"):
        compare([*baseline, Result(tmp_path / "absent", torn.data)], SCHEMA)


def test_two_results_of_one_arm_and_seed_are_refused(tmp_path: Path, baseline: list[Result]) -> None:
    again = save(tmp_path / "again", "single-task", 2, scores(2, {}), training={"epochs": 9})
    with pytest.raises(UsageError, match="two results of seed 2"):
        compare([*baseline, again], SCHEMA)


def test_results_of_two_preparations_are_refused(baseline: list[Result]) -> None:
    other = Result(baseline[1].path, {**baseline[1].data, "fingerprint": "other"})
    with pytest.raises(DataError, match="different preparations"):
        compare([baseline[0], other], SCHEMA)


def test_each_score_file_is_read_once_however_many_arms_there_are(
    tmp_path: Path, baseline: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [*baseline, *arm(tmp_path, "mmoe"), *arm(tmp_path, "hard-sharing")]
    read: list[Path] = []
    load = Scores.load

    def counted(path: Path) -> Scores:
        read.append(path)
        return load(path)

    monkeypatch.setattr(Scores, "load", counted)
    compare(results, SCHEMA)
    assert sorted(read) == sorted(r.path / "scores.npz" for r in results)
