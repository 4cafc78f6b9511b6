"""Seeds that fall into two groups are told, and ordinary ones are not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mtlbench.compare.seed_groups import seed_groups

COMPARISONS = [{"task": "buy", "metric": "auc"}]
COLLAPSED = [0.78, 0.54, 0.77, 0.76, 0.61, 0.78]


def runs(values: Sequence[float | None], method: str = "single-task", **changes: Any) -> list[dict[str, Any]]:
    made = []
    for seed, value in enumerate(values):
        metrics = {"test": {"buy": {"auc": value}}}
        made.append({"method": method, "balancer": "equal", "seed": seed, "metrics": metrics, **changes})
    return made


def test_seeds_that_have_learned_little_are_the_lower_group() -> None:
    (found,) = seed_groups(COMPARISONS, [*runs(COLLAPSED), *runs([0.7] * 6, "mmoe")])
    assert (found.arm, found.task, found.metric) == ("single-task", "buy", "auc")
    assert found.lower == [0.54, 0.61]
    assert found.upper == [0.76, 0.77, 0.78, 0.78]


def test_seeds_that_vary_alike_are_no_groups() -> None:
    """Draws of one normal distribution with a deviation of .005, which is large for an AUC."""
    rng = np.random.default_rng(0)
    seen = [seed_groups(COMPARISONS, runs(rng.normal(0.75, 0.005, 10).tolist())) for _ in range(500)]
    assert not any(seen)


@pytest.mark.parametrize(
    "some",
    [
        runs(COLLAPSED[:4]),  # too few for a verdict
        runs([0.60, 0.62, 0.64, 0.66, 0.68, 0.70]),  # wide, but even
        [*runs(COLLAPSED[:3]), *runs(COLLAPSED[3:])],  # points of a grid share their seeds
        runs([None] * 6),
        runs(COLLAPSED, metrics={}),  # failed
    ],
)
def test_what_is_no_two_groups(some: list[dict[str, Any]]) -> None:
    assert seed_groups(COMPARISONS, some) == []
