"""Precision is an option that changes speed, not what comes out."""

from typing import Any

import pytest
import torch

from mtlbench import evaluate
from mtlbench.balancing.base import NoOptions
from mtlbench.balancing.equal import Equal
from mtlbench.config import Precision, TrainingSettings
from mtlbench.errors import UsageError
from mtlbench.load import Prepared
from mtlbench.train import precision
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from mtlbench.train.trained import Trained
from tests.methods.toys import NETWORKS

CPU = torch.device("cpu")


def trained(
    prepared: Prepared, method: str, chosen: Precision, seeds: int = 1, **options: Any
) -> tuple[Blueprint, list[Trained]]:
    cls = NETWORKS[method]
    plan = Blueprint.of(cls, cls.Config(network=(16, 8), **options), prepared)
    replicas = [plan.replicas(seed)[0] for seed in range(seeds)]
    settings = TrainingSettings(epochs=4, batch_rows=64, precision=chosen)
    balancer = Equal(prepared.schema.task_names, [NoOptions()] * seeds)
    return plan, train(plan, balancer, settings, replicas, prepared, CPU, lambda rows: None)


@pytest.mark.parametrize("method", ["hard-sharing", "mmoe", "pepnet", "cross-stitch", "trace-norm"])
def test_bf16_learns_what_fp32_learns(toy: Prepared, method: str) -> None:
    """Another rounding of every product, so other weights; the metrics are close all the same."""
    figures, scores = {}, {}
    both: tuple[Precision, ...] = ("fp32", "bf16")
    for chosen in both:
        plan, outcomes = trained(toy, method, chosen)
        found, _ = evaluate.score_test(plan, outcomes, toy, CPU, chosen)
        figures[chosen] = evaluate.test_metrics(toy.schema, found)["test"]
        scores[chosen] = found.score["click"]
    assert (scores["fp32"] != scores["bf16"]).any(), "nothing was rounded: the test shows nothing"
    assert figures["bf16"]["click"]["auc"] == pytest.approx(figures["fp32"]["click"]["auc"], abs=0.02)
    assert figures["bf16"]["rating"]["r2"] == pytest.approx(figures["fp32"]["rating"]["r2"], abs=0.03)


def test_scores_of_bf16_have_no_more_ties_than_those_of_fp32(toy: Prepared) -> None:
    plan, outcomes = trained(toy, "hard-sharing", "bf16")
    score = evaluate.score_test(plan, outcomes, toy, CPU, "bf16")[0].score["click"]
    assert len(set(score.tolist())) > 0.9 * len(score)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_bf16_stacks(toy: Prepared, norm: str) -> None:
    _, outcomes = trained(toy, "mmoe", "bf16", seeds=2, norm=norm)
    assert all(o.deployable is not None and o.failure is None for o in outcomes)


def test_products_leave_the_setting_as_it_was() -> None:
    before = torch.get_float32_matmul_precision()
    with precision.products("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_tf32_on_a_cpu_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="take fp32 or bf16"):
        precision.check("tf32", CPU)
    precision.check("bf16", CPU)
    precision.check("tf32", torch.device("cuda"))
