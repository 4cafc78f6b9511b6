"""What a stack is built from: a method on a dataset, and which copies of it there are to be."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mtlbench.load import Prepared
from mtlbench.methods.base import InputSpec, Method, NetworkConfig
from mtlbench.schema import Schema, Task
from mtlbench.train.randomness import key

TABLES = "embeddings"
Weights = dict[str, Tensor]
"""Weights by name; one replica's have the embedding tables (table, row, dim) under `TABLES`."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One member of a stack: its seed, and the columns of the label matrix that it learns."""

    seed: int
    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that is needed to build a method for a dataset, whichever replica it becomes."""

    method: type[Method]
    config: NetworkConfig
    schema: Schema
    vocabularies: dict[str, int]

    @classmethod
    def of(cls, method: type[Method], config: NetworkConfig, prepared: Prepared) -> "Blueprint":
        """The method on that dataset."""
        schema = prepared.schema
        fitted = method.fitted(config, InputSpec.of(schema), schema.tasks)
        return cls(method, fitted, schema, prepared.vocabularies)

    def replicas(self, seed: int) -> list[Replica]:
        """The models that one run of this method trains: one, or one a task."""
        columns = tuple(range(len(self.schema.tasks)))
        return [Replica(seed, (k,)) for k in columns] if self.method.per_task else [Replica(seed, columns)]

    def tasks(self, replica: Replica) -> tuple[Task, ...]:
        """The tasks as the model is told them: a model of one task is the same whichever task it is."""
        tasks = tuple(self.schema.tasks[k] for k in replica.tasks)
        return tuple(replace(t, name="own") for t in tasks) if self.method.per_task else tasks

    def build(self, replica: Replica) -> Method:
        """The method with the initial weights of that replica's seed; the global generator is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(replica.seed, "initialisation"))
            return self.method(InputSpec.of(self.schema), self.tasks(replica), self.config)
