"""Other metrics, deltas of each task's own, secondary figures, and what to doubt."""

import math
from pathlib import Path

import numpy as np
import pytest

from mtlbench.compare import compare
from mtlbench.compare.measures import check_family, check_metric
from mtlbench.config import Family
from mtlbench.errors import UsageError
from mtlbench.metrics import log_loss
from mtlbench.report import remarks
from mtlbench.results import Result, Scores
from mtlbench.schema import Task
from tests.compare.stored import SCHEMA, arm, by_task, save, scores


@pytest.fixture
def baseline(tmp_path: Path) -> list[Result]:
    return arm(tmp_path, "single-task")


def test_log_loss_is_compared_as_a_share_of_the_baselines(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe", skill={"view": 1.6})
    found = by_task(compare([*baseline, *mine], SCHEMA, Family(metric="log_loss")))
    losses = {
        results[0].method: np.mean(
            [log_loss(r.scores().label["view"], r.scores().score["view"]) for r in results]
        )
        for results in (baseline, mine)
    }
    view = found["view"]
    assert view["gain"] == pytest.approx(1 - losses["mmoe"] / losses["single-task"])
    assert view["gain"] > 0  # lower is better
    assert (view["value"], view["baseline_value"]) == pytest.approx((losses["mmoe"], losses["single-task"]))
    assert (view["metric"], view["delta_unit"], view["delta"]) == ("log_loss", "relative log_loss", 0.002)
    assert (found["stars"]["metric"], found["stars"]["delta"]) == ("r2", 0.005)  # it has no log loss


def test_gauc_ranks_within_users(tmp_path: Path, baseline: list[Result]) -> None:
    """A constant a user moves the AUC and leaves the GAUC alone."""
    mine = []
    for result in baseline:
        stored = result.scores()
        shift = (stored.cluster // 10**12 % 5).astype(np.float32)
        score = {task: x + shift for task, x in stored.score.items()}
        mine.append(
            save(
                tmp_path / f"s{result.seed}",
                "mmoe",
                result.seed,
                Scores(stored.cluster, stored.label, score, score),
            )
        )
    assert abs(by_task(compare([*baseline, *mine], SCHEMA))["view"]["gain"]) > 0.05
    found = by_task(compare([*baseline, *mine], SCHEMA, Family(metric="gauc")))["view"]
    assert found["gain"] == pytest.approx(0, abs=1e-3)  # float32 ties
    assert found["delta"] == 0.001


def test_deltas_may_be_each_tasks_own(tmp_path: Path, baseline: list[Result]) -> None:
    results = [*baseline, *arm(tmp_path, "mmoe")]
    found = by_task(compare(results, SCHEMA, Family(delta={"view": 0.5, "stars": 9.0})))
    assert [found[task]["delta"] for task in ("view", "buy", "stars")] == [0.5, 0.001, 9.0]
    assert found["view"]["equivalent"]
    assert not found["buy"]["equivalent"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"delta": {"veiw": 0.1}}, "Did you mean 'view'"),
        ({"metric": "gacu"}, "Did you mean 'gauc'"),
        ({"metric": "accuracy"}, "Known: auc, gauc, log_loss, r2"),
    ],
)
def test_wrong_measures_are_refused(baseline: list[Result], wrong: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        compare(baseline, SCHEMA, Family(**wrong))  # type: ignore[arg-type]


def test_secondary_figures_by_hand(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe", skill={"view": 2.0, "buy": 0.3})
    written = compare([*baseline, *mine], SCHEMA, Family(delta={"stars": 0.01})).to_json()
    cells = written["comparisons"]
    figures = written["summaries"][0]["secondary"]
    relative = [(c["value"] - c["baseline_value"]) / c["baseline_value"] for c in cells]
    in_deltas = [c["gain"] / c["delta"] for c in cells]
    assert figures["delta_m"] == pytest.approx(100 * np.mean(relative))
    assert figures["mean_gain"] == pytest.approx(np.mean(in_deltas))
    assert (figures["worst_task"], figures["worst_gain"]) == ("buy", pytest.approx(min(in_deltas)))
    assert figures["harmed_tasks"] == ["buy"]
    improvements = [c["relative_improvement"] for c in cells if c["metric"] == "auc"]
    assert figures["relative_improvement"] == pytest.approx(np.mean(improvements))
    by_seed = []
    for one, other in zip(mine, baseline, strict=True):
        metric = {"view": "auc", "buy": "auc", "stars": "r2"}
        tables = (one.data["metrics"]["test"], other.data["metrics"]["test"])
        gains = {t: tables[0][t][m] - tables[1][t][m] for t, m in metric.items()}
        by_seed.append(np.mean([gains[c["task"]] / c["delta"] for c in cells]))
    assert figures["share_of_seeds_gaining"] == np.mean(np.array(by_seed) > 0)


def test_delta_m_counts_a_lower_loss_as_better(tmp_path: Path, baseline: list[Result]) -> None:
    results = [*baseline, *arm(tmp_path, "mmoe", skill={"view": 1.6})]
    written = compare(results, SCHEMA, Family(metric="log_loss", tasks=("view",))).to_json()
    figures = written["summaries"][0]["secondary"]
    assert figures["delta_m"] == pytest.approx(100 * written["comparisons"][0]["gain"])
    assert figures["relative_improvement"] is None


def test_the_pairing_is_what_two_arms_share(tmp_path: Path, baseline: list[Result]) -> None:
    """The same scores agree wholly; that those turned round do not is said."""
    twins = [save(tmp_path / f"twin{r.seed}", "disjoint", r.seed, r.scores()) for r in baseline]
    strangers = []
    for result in baseline:
        stored = result.scores()
        score = {task: 1 - x for task, x in stored.score.items()}
        strange = Scores(stored.cluster, stored.label, score, score)
        strangers.append(save(tmp_path / f"x{result.seed}", "mmoe", result.seed, strange))
    compared = compare([*baseline, *twins, *strangers], SCHEMA)
    for c in by_task(compared, "disjoint").values():
        assert c["pairing"] == pytest.approx({"seeds": 1.0, "clusters": 1.0})
        assert c["guards"] == []
    lost = by_task(compared)["view"]
    assert lost["pairing"]["clusters"] == pytest.approx(-1)
    assert [guard["guard"] for guard in lost["guards"]] == ["pairing"]
    message = (
        "the two arms' scores have little in common (correlation -1.00 over users): pairing by seed and "
    )
    assert lost["guards"][0]["message"].startswith(message)
    assert "same rows" not in lost["guards"][0]["message"]  # which is proved elsewhere


def test_the_correlation_over_seeds_is_that_of_the_metrics(tmp_path: Path, baseline: list[Result]) -> None:
    mine = arm(tmp_path, "mmoe")
    values = [[r.data["metrics"]["test"]["view"]["auc"] for r in results] for results in (mine, baseline)]
    found = by_task(compare([*baseline, *mine], SCHEMA))["view"]["pairing"]["seeds"]
    assert found == pytest.approx(np.corrcoef(values[0], values[1])[0, 1])


def test_seeds_of_one_arm_alone_are_told(tmp_path: Path) -> None:
    """Such as those that diverged: the gain is of the others, and nobody should have to find that out."""
    results = [*arm(tmp_path, "single-task", seeds=10), *arm(tmp_path, "mmoe", seeds=6)]
    compared = compare(results, SCHEMA)
    for c in by_task(compared).values():
        (guard,) = (g["message"] for g in c["guards"] if g["guard"] == "unpaired seeds")
        assert guard.startswith("4 of 10 seeds have a run of one of the two arms alone")
    written = {"seed_groups": [], "runs": [], "simulated": False, **compared.to_json()}
    assert sum("mmoe: 4 of 10 seeds" in line for line in remarks(written)) == 1


def test_guards_are_written_down(tmp_path: Path) -> None:
    few = [*arm(tmp_path, "single-task", seeds=1), *arm(tmp_path, "mmoe", seeds=1)]
    c = by_task(compare(few, SCHEMA))["view"]
    assert [guard["guard"] for guard in c["guards"]] == ["few seeds"]
    assert c["pairing"]["seeds"] is None
    assert c["verdict"] == "NO_VERDICT"
    assert c["reason"] == "1 paired seed, at least 5 are needed to tell a gain from the noise of training"
    assert not math.isnan(c["gain"])


def test_a_single_user_is_refused_with_the_reason(tmp_path: Path) -> None:
    results = []
    for seed in range(5):
        for number, method in enumerate(("single-task", "mmoe")):
            stored = scores(seed, {}, number)
            alone = Scores(np.zeros_like(stored.cluster), stored.label, stored.score, stored.score_best)
            results.append(save(tmp_path / f"{method}{seed}", method, seed, alone))
    c = by_task(compare(results, SCHEMA))["view"]
    assert (c["verdict"], c["clusters"]) == ("NO_VERDICT", 1)
    assert c["reason"].startswith(
        "1 user in the test rows, at least 30 are needed to tell a gain from chance"
    )


def test_a_metric_that_no_task_has_is_refused() -> None:
    with pytest.raises(UsageError, match="none of these tasks has it; they have auc, gauc, log_loss"):
        check_metric("r2", [Task(name="click")])
    check_metric("r2", [Task(name="click"), Task(name="stars", kind="regression")])


def test_a_metric_that_no_task_of_the_family_has_is_refused_before_training() -> None:
    check_family(Family(metric="r2"), SCHEMA)
    with pytest.raises(UsageError, match="metric = 'r2': none of these tasks has it"):
        check_family(Family(metric="r2", tasks=("view",)), SCHEMA)
