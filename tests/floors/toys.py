"""A split worked by hand: four rows in two groups."""

import numpy as np

from mtlbench.load import Split
from mtlbench.schema import Field, Schema, Task

SCHEMA = Schema(
    fields=(
        Field(name="user", kind="categorical", vocabulary="user", grouped=True),
        Field(name="item", kind="categorical", vocabulary="item"),
        Field(name="hour", kind="numeric", grouped=True),
        Field(name="price", kind="numeric"),
        Field(name="past", kind="sequence", vocabulary="item", length=3),
        Field(name="friends", kind="sequence", vocabulary="user", length=2),
    ),
    tasks=(Task(name="click"), Task(name="rating", kind="regression")),
)
VOCABULARIES = {"item": 5, "user": 4}


def split() -> Split:
    """Rows 0 to 2 are of group 0, row 3 of group 1."""
    return Split(
        categorical=np.array([[2], [3], [4], [2]], np.int32),
        numeric=np.array([[0.5], [-1.0], [0.0], [2.0]], np.float32),
        labels=np.array([[1, 2.0], [0, np.nan], [0, 4.0], [1, 3.0]], np.float32),
        group_categorical=np.array([[2], [3]], np.int32),
        group_numeric=np.array([[7.0], [8.0]], np.float32),
        sequence=np.array([[0, 2, 2, 3, 2], [0, 0, 0, 0, 1]], np.int32),
        cluster=np.array([10, 11]),
        group=np.array([0, 0, 0, 1], np.int32),
    )
