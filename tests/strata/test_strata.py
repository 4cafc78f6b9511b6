"""Gains within groups: the same estimator, many tests, and no verdict."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mtlbench.compare import compare
from mtlbench.config import Family
from mtlbench.errors import DataError
from mtlbench.home import Home
from mtlbench.report import markdown, remarks
from mtlbench.results import Result, Scores
from mtlbench.statistics.multiplicity import benjamini_hochberg
from mtlbench.statistics.variance import p_value
from mtlbench.strata import by_stratum
from tests.compare.stored import SCHEMA, arm, by_task, save, scores
from tests.strata.data import IDS, rows

SEEDS = 6


def group_of(stored: Scores) -> NDArray[np.int64]:
    """0 and 1: half of the users each; 2: five users, too few to be judged."""
    number = stored.cluster // 10**12
    group: NDArray[np.int64] = np.where(number < 5, 2, (number % 2 == 0).astype(np.int64))
    return group


def planted(path: Path) -> list[Result]:
    """A method that is better for group 1 alone."""
    results = []
    for seed in range(SEEDS):
        usual, better = scores(seed, {}, 5), scores(seed, {"view": 2.5}, 5)
        inside = group_of(usual) == 1
        score = {task: np.where(inside, better.score[task], x) for task, x in usual.score.items()}
        results.append(
            save(path / f"planted{seed}", "mmoe", seed, Scores(usual.cluster, usual.label, score, score))
        )
    return results


@pytest.fixture
def results(tmp_path: Path) -> list[Result]:
    return [*arm(tmp_path, "single-task"), *planted(tmp_path)]


@pytest.fixture
def prepared(home: Home, results: list[Result]) -> Home:
    """The rows that the results were scored on."""
    stored = results[0].scores()
    test: dict[str, Any] = {"user": stored.cluster, "group": group_of(stored), **stored.label}
    rows(home, {"user": [0], "group": [0]}, test, fields=IDS, tasks=SCHEMA.tasks)
    return home


def cells(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(c["stratum"], c["task"]): c for c in found["cells"]}


def test_a_planted_group_is_found(prepared: Home, results: list[Result]) -> None:
    found = by_stratum(prepared, results, SCHEMA, Family(), "group")
    assert (found["by"], found["label"], found["rate"], found["size"]) == ("group", "EXPLORATORY", 0.1, 9)
    assert cells(found)["1", "view"]["call"] == "EXPLORATORY POSITIVE"
    assert cells(found)["0", "view"]["call"] is None
    few = cells(found)["2", "view"]
    assert few["call"] is None
    assert "5 users in the test rows, at least 30" in few["reason"]


def test_a_cell_is_what_compare_says_of_those_rows_alone(
    tmp_path: Path, prepared: Home, results: list[Result]
) -> None:
    found = cells(by_stratum(prepared, results, SCHEMA, Family(), "group"))
    for group in (0, 1):
        alone = []
        for r in results:
            stored = r.scores()
            inside = group_of(stored) == group
            label, score = ({t: x[inside] for t, x in c.items()} for c in (stored.label, stored.score))
            part = Scores(stored.cluster[inside], label, score, score)
            alone.append(save(tmp_path / f"{group}-{r.method}-{r.seed}", r.method, r.seed, part))
        for task, c in by_task(compare(alone, SCHEMA)).items():
            cell = found[str(group), task]
            for key in ("gain", "se", "df", "interval", "p_value", "clusters", "value", "baseline_value"):
                assert cell[key] == pytest.approx(c[key], rel=1e-12), key


def test_calls_are_benjamini_hochberg_over_all_cells(prepared: Home, results: list[Result]) -> None:
    """With S - 1 degrees of freedom, as in any family of fewer than ten seeds."""
    from scipy.stats import t

    found = by_stratum(prepared, results, SCHEMA, Family(), "group")["cells"]
    df = [min(c["df"], SEEDS - 1) for c in found]
    p = [2 * t.sf(abs(c["gain"] / c["se"]), d) for c, d in zip(found, df, strict=True)]
    assert any(c["reason"] for c in found)
    assert any(c["call"] for c in found)
    known = [1.0 if c["reason"] else one for c, one in zip(found, p, strict=True)]
    for c, adjusted in zip(found, benjamini_hochberg(known), strict=True):
        assert c["adjusted_p_value"] == (None if c["reason"] else pytest.approx(adjusted))
        assert bool(c["call"]) == (adjusted <= 0.1)


def test_cells_without_a_call_do_not_lower_the_bar_for_the_others(
    prepared: Home, results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five users agree by chance on anything: such a p-value may be 0."""
    before = by_stratum(prepared, results, SCHEMA, Family(), "group")["cells"]
    monkeypatch.setattr(
        "mtlbench.compare.exploratory.p_value", lambda e, df: 1e-12 if e.clusters == 5 else p_value(e, df)
    )
    after = by_stratum(prepared, results, SCHEMA, Family(), "group")["cells"]
    adjusted = [[c["adjusted_p_value"] for c in cells if not c["reason"]] for cells in (before, after)]
    assert adjusted[0] == adjusted[1]


def test_tasks_baseline_and_metric_are_the_familys(prepared: Home, results: list[Result]) -> None:
    family = Family(tasks=("buy",), baseline="mmoe", metric="gauc")
    found = by_stratum(prepared, results, SCHEMA, family, "group")["cells"]
    assert {(c["method"], c["task"], c["metric"]) for c in found} == {("single-task", "buy", "gauc")}


def test_no_verdict_word_stands_there_alone(prepared: Home, results: list[Result]) -> None:
    """Neither in the document nor on the page."""
    found = by_stratum(prepared, results, SCHEMA, Family(), "group")
    assert "verdict" not in found["cells"][0]
    about = {"dataset": "toy", "fingerprint": "f", "simulated": False, "cluster": "user", "tasks": []}
    written = {**about, **compare(results, SCHEMA).to_json(), "seed_groups": [], "runs": [], "strata": found}
    page = markdown(written)
    table = page.split("## EXPLORATORY")[1]
    assert "gains" in table
    assert "POSITIVE" not in table.split("##")[0]
    assert any("EXPLORATORY and no verdicts" in line for line in remarks(written))


def test_one_class_in_a_group_is_said(prepared: Home, tmp_path: Path) -> None:
    results = []
    for seed in range(SEEDS):
        for number, method in enumerate(("single-task", "mmoe")):
            stored = scores(seed, {}, number)
            label = {**stored.label, "buy": np.where(group_of(stored) == 0, 0, stored.label["buy"])}
            part = Scores(stored.cluster, label, stored.score, stored.score)
            results.append(save(tmp_path / f"{method}{seed}", method, seed, part))
    file = prepared.prepared("toy") / "test.parquet"
    pl.read_parquet(file).with_columns(buy=pl.Series(label["buy"])).write_parquet(file)
    cell = cells(by_stratum(prepared, results, SCHEMA, Family(), "group"))["0", "buy"]
    assert (cell["gain"], cell["call"]) == (None, None)
    assert cell["reason"] == "auc is undefined: all labels are equal"


def test_other_rows_than_those_that_were_scored_are_refused(prepared: Home, results: list[Result]) -> None:
    file = prepared.prepared("toy") / "test.parquet"
    frame = pl.read_parquet(file)
    frame.reverse().write_parquet(file)
    with pytest.raises(DataError, match=r"its view is not the one that .* was scored on"):
        by_stratum(prepared, results, SCHEMA, Family(), "group")
    frame.head(9).write_parquet(file)
    with pytest.raises(DataError, match="its view is not the one"):
        by_stratum(prepared, results, SCHEMA, Family(), "group")
    again = [Result(r.path, {**r.data, "fingerprint": "other"}) for r in results]
    with pytest.raises(DataError, match="was prepared again since"):
        by_stratum(prepared, again, SCHEMA, Family(), "group")
