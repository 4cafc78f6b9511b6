"""A table of many arms: a row each, family by family."""

from pathlib import Path
from typing import Any

from mtlbench.compare import Declared, compare
from mtlbench.compare.arms import group, identity_key
from mtlbench.report import markdown
from mtlbench.report.tables import by_arm, costs, own_peaks
from mtlbench.report.words import MANY_ARMS, many_arms
from tests.compare.stored import ABOUT, SCHEMA, arm


def many(path: Path, count: int) -> dict[str, Any]:
    names = [f"method-{i}" for i in range(count)]
    found = [r for name in ("single-task", *names) for r in arm(path, name, 5)]
    last = next(one for one in group(found) if one.method == names[-1])
    declared = Declared(families={identity_key(last.identity): "others"})
    return {**ABOUT, **compare(found, SCHEMA, declared=declared).to_json()}


def test_more_arms_than_columns_have_a_row_each_and_a_table_a_family(tmp_path: Path) -> None:
    few, written = many(tmp_path / "few", 3), many(tmp_path / "many", MANY_ARMS + 1)
    assert not many_arms(few)
    assert many_arms(written)
    first, second = by_arm(written, lambda c: f"{c['arm']} on {c['task']}")
    assert first.heads == ["method", "view", "buy", "stars"]
    assert [row[0] for row in first.rows] == ["single-task", *(f"method-{i}" for i in range(MANY_ARMS))]
    assert second.rows[1] == [f"method-{MANY_ARMS}", *(f"method-{MANY_ARMS} on {t}" for t in first.heads[1:])]
    assert [row[0] for row in own_peaks(written).rows][:2] == ["method-0", "method-1"]


def test_the_page_of_many_arms_has_their_costs_and_what_the_undecided_want(tmp_path: Path) -> None:
    page = markdown(many(tmp_path, MANY_ARMS + 1))
    assert "## Gain over single-task: methods" in page
    assert "## Gain over single-task: others" in page
    assert "INCONCLUSIVE (wants " in page
    assert "## Cost per seed" in page
    assert "| method | parameters | train rows/s | wall seconds | score rows/s |" in page
    assert "| 5,000 (2.50x) |" in page


def test_a_cost_that_no_result_has_is_left_out(tmp_path: Path) -> None:
    """Results of earlier versions have no scoring speed; beside one that has it, theirs is unknown."""
    document = many(tmp_path, 2)
    one, other = (summary["costs"]["scored_per_second"] for summary in document["summaries"])
    one.update(dict.fromkeys(one))
    assert costs(document).heads[-1] == "score rows/s"
    assert [row[-1] for row in costs(document).rows] == ["?", "? (?x)", "5,000 (2.50x)"]
    other.update(dict.fromkeys(other))
    assert costs(document).heads == ["method", "parameters", "train rows/s", "wall seconds"]


def test_large_rates_are_in_thousands(tmp_path: Path) -> None:
    document = many(tmp_path, 1)
    document["summaries"][0]["costs"]["scored_per_second"] |= {"baseline": 9_999.0, "method": 1_444_612.0}
    assert [row[-1] for row in costs(document).rows] == ["9,999", "1,445k (2.50x)"]
