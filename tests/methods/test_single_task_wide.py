"""Widened single-task models have the capacity of what they are held against, and nothing else of it."""

from dataclasses import asdict
from typing import Any

import pytest

from mtlbench.config import fill
from mtlbench.errors import UsageError
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.methods.base import InputSpec, Method, NetworkConfig
from mtlbench.methods.single_task import SingleTask
from mtlbench.methods.single_task_wide import SingleTaskWide, SingleTaskWideConfig
from mtlbench.schema import Task
from mtlbench.train.blueprint import Blueprint
from tests.methods.toys import SPEC, TASKS, build


def fitted(spec: InputSpec = SPEC, tasks: tuple[Task, ...] = TASKS, **options: Any) -> SingleTaskWideConfig:
    return SingleTaskWide.fitted(fill(SingleTaskWideConfig, options, "test"), spec, tasks)


def dense(method: type[Method], tasks: tuple[Task, ...], config: NetworkConfig) -> int:
    return sum(p.numel() for p in method(SPEC, tasks, config).parameters())


@pytest.mark.parametrize("experts", [5, 8, 32])
def test_together_they_are_as_large_as_the_matched_model(experts: int) -> None:
    """Never smaller, and at most 3 % larger: a unit more in the widest layer of each of three models."""
    config = fitted(match="mmoe", match_options={"num_experts": experts})
    mmoe = METHODS["mmoe"].load()
    wanted = dense(mmoe, TASKS, mmoe.Config(num_experts=experts))
    reached = len(TASKS) * dense(SingleTask, TASKS[:1], config)
    assert wanted <= reached <= 1.03 * wanted


def test_one_unit_less_would_be_too_few() -> None:
    config = fitted(match="mmoe", match_options={"num_experts": 9})
    mmoe = METHODS["mmoe"].load()
    widest = config.network[0] - 1
    less = NetworkConfig(
        network=tuple(round(w * widest / 64) for w in (64, 32)), tower=(round(16 * widest / 64),)
    )
    assert 3 * dense(SingleTask, TASKS[:1], less) < dense(mmoe, TASKS, mmoe.Config(num_experts=9))


def test_more_capacity_to_match_is_never_narrower() -> None:
    widths = [fitted(match="mmoe", match_options={"num_experts": n}).network for n in (1, 2, 4, 6, 8, 16)]
    assert widths == sorted(widths)
    assert widths[0] == (64, 32)
    assert widths[-1][0] > 100


def test_all_layers_are_scaled_by_one_factor() -> None:
    config = fitted(match="mmoe", match_options={"num_experts": 32}, network=[64, 32], tower=[16])
    factor = config.network[0] / 64
    assert config.network[1] == round(32 * factor)
    assert config.tower == (round(16 * factor),)


def test_against_hard_sharing_it_is_single_task() -> None:
    """Three models already have three bottoms against one."""
    config = fitted(match="hard-sharing")
    alone = NetworkConfig()
    assert (config.embedding_dim, config.network, config.tower) == (
        alone.embedding_dim,
        alone.network,
        alone.tower,
    )


def test_embeddings_are_matched_too() -> None:
    """Two tables of 8 for two tasks, against one of 40 or two of 9."""
    two = TASKS[:2]
    assert fitted(tasks=two, match="hard-sharing", match_options={"embedding_dim": 40}).embedding_dim == 20
    assert fitted(tasks=two, match="hard-sharing", match_options={"embedding_dim": 41}).embedding_dim == 21
    assert fitted(tasks=two, match="soft-sharing", match_options={"embedding_dim": 9}).embedding_dim == 9
    assert fitted(tasks=two, match="hard-sharing", match_options={"embedding_dim": 2}).embedding_dim == 8


def test_a_blueprint_builds_the_widened_models(toy: Prepared) -> None:
    options = {"match": "mmoe", "match_options": {"num_experts": 16}}
    plan = Blueprint.of(SingleTaskWide, fill(SingleTaskWideConfig, options, "test"), toy)
    narrow = Blueprint.of(SingleTask, NetworkConfig(), toy)
    assert plan.config.network[0] > 2 * narrow.config.network[0]
    one, other = (p.build(p.replicas(0)[0]) for p in (plan, narrow))
    assert sum(p.numel() for p in one.parameters()) > 3 * sum(p.numel() for p in other.parameters())


def test_the_matched_options_are_stored_in_full() -> None:
    """So that a comparison can find the baseline that was made for an arm."""
    mmoe = METHODS["mmoe"].load()
    config = SingleTaskWideConfig(match="mmoe", match_options={"num_experts": 2})
    assert config.match_options == asdict(mmoe.Config(num_experts=2))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"match": "mmeo"}, "Did you mean 'mmoe'"),
        ({"match": "single-task"}, "not one network for all tasks"),
        ({"match": "single-task-wide"}, "not one network for all tasks"),
        ({"match": "logistic"}, "not one network for all tasks"),
        ({"match": "mmoe", "match_options": {"experts": 3}}, "Did you mean 'num_experts'"),
    ],
)
def test_what_has_no_capacity_to_match_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        fill(SingleTaskWideConfig, options, "options of single-task-wide")


def test_it_is_built_as_single_task_is() -> None:
    alone, wide = build(SingleTask, TASKS[:1]), build(SingleTaskWide, TASKS[:1])
    assert [(n, p.shape) for n, p in alone.named_parameters()] == [
        (n, p.shape) for n, p in wide.named_parameters()
    ]
