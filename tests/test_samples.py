"""Every real sample goes the whole way: prepared, single-task and MMoE trained for an epoch, numbers sane.

An epoch of a few thousand rows teaches little: the lower bounds say that nothing is upside down, the upper
ones that nothing is too good. Samples of a hundred rows only have to come through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mtlbench.config import Benchmark, fill
from mtlbench.experiment.run import Execution, run
from mtlbench.home import Home
from mtlbench.prepare import prepare
from mtlbench.render import grid
from tests.samples import samples

pytestmark = pytest.mark.slow
ANYTHING = (-10.0, 1.0)


@dataclass(frozen=True)
class Case:
    """A dataset from its sample: what is given, and between which bounds each task's metric must lie."""

    dataset: str
    files: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 128


LOG = ("taobao_userbehavior/UserBehavior_head814.csv.gz",)
CASES = {
    "taobao": Case(
        "taobao", LOG, {"view": (0.70, 0.85), "cart": (0.65, 0.85), "fav": (0.75, 0.95), "buy": (0.70, 0.9)}
    ),
    "taobao-conversion": Case(
        "taobao-conversion", LOG, {"cart": (0.45, 0.7), "fav": (0.45, 0.9), "buy": (0.55, 0.85)}, rows=64
    ),
    "amazon-2018": Case(
        "amazon",
        ("amazon_reviews_2018",),
        {"liked": (0.45, 0.75), "helpful": (0.55, 0.9), "verified": (0.55, 0.9)},
    ),
    "amazon-2014": Case("amazon", ("amazon_reviews_2014",), {"liked": (0.6, 0.85), "helpful": (0.5, 0.8)}),
    "amazon-2023": Case("amazon", ("amazon_reviews_2023",), {"liked": (0.6, 0.85)}, rows=64),
    "amazon-rating": Case("amazon", ("amazon_reviews_2014",), {"rating": (0.0, 0.4)}),
    "amazon-categories": Case(
        "amazon-categories",
        ("amazon_reviews_2018",),
        {"all_beauty": (0.4, 0.8), "gift_cards": (0.45, 0.85), "magazine_subscriptions": (0.4, 0.8)},
    ),
    "census-income": Case(
        "census-income",
        ("census_income",),
        {"income": (0.91, 0.96), "marital": (0.98, 0.997), "education": (0.85, 0.92)},
        {"split": "hashed"},
        rows=512,
    ),
    "aliexpress": Case("aliexpress-nl", ("aliexpress",), {}, {"validation": 0.5}, rows=16),
    "ali-ccp": Case(
        "ali-ccp",
        tuple(f"ali_ccp/ali_ccp_{part}_sample.csv" for part in ("train", "val", "test")),
        {},
        rows=16,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_sample_goes_the_whole_way(case: Case, home: Home) -> None:
    source = [samples(file) for file in case.files]
    prepared = prepare(home, case.dataset, source=source, options=dict(case.options))
    tasks = ["rating"] if "rating" in case.bounds else []
    values = {
        "dataset": case.dataset,
        "tasks": tasks,
        "seeds": 1,
        "training": {"epochs": 1, "batch_rows": case.rows},
        "run": [{"method": "single-task"}, {"method": "mmoe"}],
    }
    document = run(home, fill(Benchmark, values, "test"), Execution(track=False), lambda line: None, grid)
    assert [one["status"] for one in document["runs"]] == ["done", "done"]
    learnt = tasks or [task.name for task in prepared.schema.tasks]
    for one in document["runs"]:
        found = one["metrics"]["test"]
        assert list(found) == learnt
        for task in learnt:
            value = found[task].get("auc", found[task].get("r2"))
            low, high = case.bounds.get(task, ANYTHING)
            assert low <= value <= high, f"{one['method']}: {task} {value:.3f}"
