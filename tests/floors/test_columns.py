"""What a floor reads of a split."""

import numpy as np
import pytest

from mtlbench.floors import columns
from mtlbench.floors.columns import Columns, blocks
from tests.floors.toys import SCHEMA, split


def test_columns_stand_as_the_schema_says() -> None:
    """The rows' own fields, then those of their group; every sequence by itself."""
    seen = Columns.of(SCHEMA, split(), slice(1, 4))
    assert seen.categorical.tolist() == [[3, 2], [4, 2], [2, 3]]
    assert seen.numeric.tolist() == [[-1.0, 7.0], [0.0, 7.0], [2.0, 8.0]]
    past, friends = seen.sequences
    assert past.tolist() == [[0, 2, 2], [0, 2, 2], [0, 0, 0]]
    assert friends.tolist() == [[3, 2], [3, 2], [0, 1]]
    assert len(seen) == 3


@pytest.mark.parametrize("rows", [None, np.array([0, 2, 3])])
def test_blocks_together_are_all_rows_in_order(
    monkeypatch: pytest.MonkeyPatch, rows: np.ndarray | None
) -> None:
    whole = Columns.of(SCHEMA, split(), np.arange(4) if rows is None else rows)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 2)
    parts = list(blocks(SCHEMA, split(), rows))
    assert [len(part) for part in parts] == ([2, 2] if rows is None else [2, 1])
    np.testing.assert_array_equal(np.concatenate([p.categorical for p in parts]), whole.categorical)
    np.testing.assert_array_equal(np.concatenate([p.numeric for p in parts]), whole.numeric)
    np.testing.assert_array_equal(np.concatenate([p.labels for p in parts]), whole.labels)
    np.testing.assert_array_equal(np.concatenate([p.sequences[1] for p in parts]), whole.sequences[1])
