"""mtlbench itself, as timed by `bench train`: the same loop as `run`, validation included."""

from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.balancing.equal import Equal
from mtlbench.bench.train.cases import BATCH, LEARNING_RATE, Case
from mtlbench.bench.train.side import Model
from mtlbench.config import Precision, TrainingSettings, fill
from mtlbench.load import Prepared
from mtlbench.methods import METHODS
from mtlbench.registry import lookup
from mtlbench.train.blueprint import Blueprint
from mtlbench.train.loop import train
from mtlbench.train.matrices import Matrices
from mtlbench.train.memory import keep_freed_blocks
from mtlbench.train.stack import Stack


def blueprint(case: Case, prepared: Prepared) -> Blueprint:
    """Return our network for a case."""
    method = lookup(METHODS, case.method, "method").load()
    options = {"network": case.network, "tower": case.tower, "embedding_dim": case.dim, "norm": "batch"}
    options |= {"num_experts": case.experts} if case.experts else {}
    return Blueprint.of(method, fill(method.Config, options, case.name), prepared)


def settings(precision: Precision) -> TrainingSettings:
    """Return the settings of the one epoch that every side trains."""
    return TrainingSettings(
        epochs=1,
        batch_rows=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=0.0,
        evaluations_per_epoch=1,
        precision=precision,
    )


def multiplied(plan: Blueprint) -> int:
    """Count the weights of the matrices that multiply every row."""
    module = plan.build(plan.replicas(0)[0])
    return sum(parameter.numel() for parameter in module.parameters() if parameter.dim() > 1)


class Ours(Model):
    """One seed of one of our networks."""

    precision: ClassVar[Precision] = "fp32"

    def __init__(self, case: Case, prepared: Prepared, device: torch.device) -> None:
        super().__init__(case, prepared, device)
        self._blueprint = blueprint(case, prepared)

    def train(self, seed: int) -> None:
        """Train as `run` does, without the test split."""
        keep_freed_blocks()
        replicas = self._blueprint.replicas(seed)
        (self._trained,) = train(
            self._blueprint,
            Equal(self.prepared.schema.task_names, [Equal.Config()]),
            settings(self.precision),
            replicas,
            self.prepared,
            self.device,
            lambda rows: None,
        )

    def score(self) -> Tensor:
        """Score the test split as `run` does."""
        assert self._trained.deployable is not None
        weights = [self._trained.deployable.weights]
        stack = Stack(self._blueprint, [self._trained.replica], self.device, self.precision, weights)
        return stack.predict(Matrices.of(self.prepared.open_split("test"), stack.layout, self.device))[0]

    @property
    def multiplied(self) -> int:
        """Number of weights of the matrices that multiply every row."""
        return multiplied(self._blueprint)


class OursInBf16(Ours):
    """Our networks with `--precision bf16`."""

    precision = "bf16"
