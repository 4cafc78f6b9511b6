"""What runs of networks are given when they go as one job."""

from typing import Any

import torch
from torch.testing import assert_close

from mtlbench.config import Benchmark, RunSpec, fill
from mtlbench.experiment.grid import plan
from mtlbench.load import Prepared
from mtlbench.methods.hard_sharing import HardSharing
from mtlbench.runs.networks import train_networks
from mtlbench.runs.outcome import FinishedRun


def test_each_seed_of_a_job_draws_what_it_draws_alone_and_other_numbers_than_the_next(toy: Prepared) -> None:
    """rlw draws weights at every step, from the generator that the replica of a seed is given."""
    arm = {"method": "hard-sharing", "method_options": {"network": [8], "tower": []}, "balancer": "rlw"}
    values = {"training": {"epochs": 1, "batch_rows": 64}, "seeds": 2, "run": [arm]}
    (specs,) = plan(fill(Benchmark, values, "a benchmark"), toy.schema, toy.fingerprint)

    def weights(specs: list[RunSpec]) -> list[list[dict[str, Any]]]:
        done = train_networks(HardSharing, toy, specs, torch.device("cpu"), lambda rows: None, stacked=True)
        return [_weights(one) for one in done if isinstance(one, FinishedRun)]

    together = weights(specs)
    assert_close(together, [*weights(specs[:1]), *weights(specs[1:])], rtol=1e-5, atol=0)
    one, other = together
    assert abs(one[0]["click"] - other[0]["click"]) > 0.01


def _weights(done: FinishedRun) -> list[dict[str, Any]]:
    return [entry["task_weights"] for model in done.history for entry in model["evaluations"]]
