"""Number of weights of a method at its defaults, counted on torch's meta device, which allocates nothing."""

from typing import Any

import torch

from mtlbench.errors import UsageError
from mtlbench.home import Home
from mtlbench.load import open_prepared, prepared_names
from mtlbench.methods.base import InputSpec, Method
from mtlbench.schema import Field, Schema, Task
from mtlbench.train.blueprint import Blueprint

IDS = 10_000
REFERENCE = Schema(
    fields=(
        *(Field(name=f"id{i}", kind="categorical", vocabulary=f"id{i}") for i in range(8)),
        *(Field(name=f"number{i}", kind="numeric") for i in range(8)),
    ),
    tasks=(Task(name="click"), Task(name="buy", given="click")),
)
REFERENCE_WORDS = f"8 fields of {IDS:,} ids, 8 numbers, click and buy"


def size(method: type[Method], schema: Schema, vocabularies: dict[str, int]) -> dict[str, int]:
    """Count the weights in layers and in embedding tables, over all models of a run.

    Raises:
        UsageError: the tasks are not what the method needs.
    """
    method.check(method.__name__, schema.tasks)
    config = method.fitted(method.Config(), InputSpec.of(schema), schema.tasks)
    blueprint = Blueprint(method, config, schema, vocabularies)
    dense = embedding = 0
    for replica in blueprint.replicas(seed=0):
        with torch.device("meta"):
            model = blueprint.build(replica)
        dense += sum(parameter.numel() for parameter in model.parameters())
        tables = method.tables(blueprint.tasks(replica))
        embedding += tables * sum(vocabularies.values()) * config.embedding_dim
    return {"dense": dense, "embedding": embedding}


def reference_size(method: type[Method]) -> dict[str, int]:
    """Count the weights for a reference schema, which needs no dataset."""
    return size(method, REFERENCE, {f.vocabulary: IDS for f in REFERENCE.of_kind("categorical")})


def size_here(method: type[Method], home: Home, dataset: str) -> dict[str, Any]:
    """Count the weights for a prepared dataset, by default the one prepared last, else for the reference.

    Raises:
        UsageError: the tasks of the named dataset are not what the method needs.
        DataError: the dataset is not prepared.
    """
    if name := dataset or next(iter(prepared_names(home)), ""):
        prepared = open_prepared(home, name)
        try:
            return {"on": name, **size(method, prepared.schema, prepared.vocabularies)}
        except UsageError:
            if dataset:
                raise
    return {"on": REFERENCE_WORDS, **reference_size(method)}
