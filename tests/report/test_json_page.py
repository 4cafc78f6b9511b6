"""docs/json.md has every key of the document, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtlbench.load import Prepared
from tests.conftest import Command

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
NAMES = {
    "method_options",
    "balancer_options",
    "metrics",
    "test",
    "chosen",
    "plan",
    "reference",
    "with",
    "weights",
}
"""Keys below which names are keys, of options, of tasks; and the document of another command."""
QUICK = ("--epochs", "1", "--batch-rows", "64", "--set", "method.network=4", "--workers", "1", "--no-track")


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in NAMES:
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_every_key_has_its_meaning(mtlbench: Command, toy: Prepared) -> None:
    frontier = (
        "--balancer",
        "static-frontier",
        "--set",
        "balancer.points=2",
        "--set",
        "balancer.tuning_seeds=1",
    )
    ran = mtlbench("run", "--method", "hard-sharing", *frontier, "--seeds", "2", *QUICK, "--json")
    compared = mtlbench("compare", "--json")
    part = mtlbench("run", "--method", "mmoe", "--shard", "1/4", "--seeds", "2", *QUICK, "--json")
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    found = {key for answer in (ran, compared, part) for key in keys(answer.json)}
    points = {"weights"}  # options of the points, which are those of the balancer
    assert sorted(found - told - points) == []
    assert {"tests", "points", "seed_groups", "absent", "shard"} <= found
