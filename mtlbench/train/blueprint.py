"""What a stack is built from: a method on a dataset, and the replicas of it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mtlbench.load import Prepared
from mtlbench.methods.base import InputSpec, Method, NetworkConfig
from mtlbench.schema import Schema, Task
from mtlbench.train.randomness import key

TABLES = "embeddings"
Weights = dict[str, Tensor]
"""Weights by name; those of one replica hold its embedding tables (table, row, dim) under `TABLES`."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One member of a stack: its seed, and the columns of the label matrix it learns."""

    seed: int
    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything needed to build any replica of a method on a dataset."""

    method: type[Method]
    config: NetworkConfig
    schema: Schema
    vocabularies: dict[str, int]

    @classmethod
    def of(cls, method: type[Method], config: NetworkConfig, prepared: Prepared) -> "Blueprint":
        """Return the blueprint of a method on a prepared dataset."""
        schema = prepared.schema
        fitted = method.fitted(config, InputSpec.of(schema), schema.tasks)
        return cls(method, fitted, schema, prepared.vocabularies)

    def replicas(self, seed: int) -> list[Replica]:
        """Return the models that one run of this method trains: a single one, or one per task."""
        columns = tuple(range(len(self.schema.tasks)))
        return [Replica(seed, (k,)) for k in columns] if self.method.per_task else [Replica(seed, columns)]

    def tasks(self, replica: Replica) -> tuple[Task, ...]:
        """Return the tasks as the model sees them; per-task models all call theirs `own`, to be stackable."""
        tasks = tuple(self.schema.tasks[k] for k in replica.tasks)
        return tuple(replace(t, name="own") for t in tasks) if self.method.per_task else tasks

    def build(self, replica: Replica) -> Method:
        """Build the method with initial weights from the replica's seed, sparing the global generator."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(replica.seed, "initialisation"))
            return self.method(InputSpec.of(self.schema), self.tasks(replica), self.config)
