"""What is said of the fields is what their matrices hold."""

from pathlib import Path

import numpy as np

from mtlbench.data.describe import describe_fields
from mtlbench.data.guards import examine
from mtlbench.schema import OUT_OF_VOCABULARY, PADDING
from tests.data.test_guards import ROWS, SCHEMA, Matrices, card, made


def test_missing_and_unknown_are_counted_and_the_best_task_is_named(tmp_path: Path) -> None:
    """A tenth of the numbers is absent, of the ids a fifth missing and a quarter of the others unknown.

    The number is 2 where there is a buy, else 1 if it is there at all.
    """

    def spoil(split: str, m: Matrices) -> None:
        m["numeric"][:, 0] = np.where(np.arange(ROWS) % 10 == 1, 0, 1 + m["labels"][:, 1])
        m["categorical"][:, 0] = np.tile([PADDING, OUT_OF_VOCABULARY, 7, 8, 9], ROWS // 5)
        m["sequence"][:] = np.tile([[0, 0, 0], [0, 7, 1]], (ROWS // 2, 1))

    built = made(tmp_path, spoil)
    found = {f["name"]: f for f in describe_fields(built, tmp_path, examine(built, tmp_path, card()).summary)}
    assert list(found) == [f.name for f in SCHEMA.fields]
    for split in ("train", "validation", "test"):
        assert found["item_pv"]["missing"][split] == 0.1
        assert found["item_pv"]["unknown"][split] == 0
        assert found["item"]["missing"][split] == 0.2
        assert found["item"]["unknown"][split] == 0.25
        assert found["recent"]["missing"][split] == 0.5
        assert found["recent"]["unknown"][split] == 0.5
    assert found["item"]["ids"] == 38
    assert found["user_pv"]["ids"] == 0
    assert found["item_pv"]["alone"]["task"] == "buy"
    assert found["item_pv"]["alone"]["auc"] == 1.0
    assert found["user_pv"]["alone"]["auc"] < 0.6


def test_a_task_that_cannot_be_judged_is_not_named(tmp_path: Path) -> None:
    """Users are few: whatever separates a handful of them is noise."""
    built = made(tmp_path, users=90)
    guards = examine(built, tmp_path, card()).summary
    assert guards["not_judged"]["validation"] == ["view", "buy"]
    assert {f["alone"] for f in describe_fields(built, tmp_path, guards)} == {None}
