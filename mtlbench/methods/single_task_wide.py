"""Single-task, widened: independent models that together are at least as large as a multi-task one.

A multi-task model may win because it is larger, not because it shares. Here the models of `single-task` are
widened until together they are as large as the model named by `match`, counted on this dataset. Two parameter
counts are matched separately: embedding tables E, and layers D (all other weights):

    sum_k |E_k|  >=  |E_match|    and    sum_k |D_k|  >=  |D_match|,    as closely as whole numbers allow

First, `embedding_dim` grows until the first inequality holds. Then the widths of network and tower are scaled
by one factor, the smallest for which the second holds.

Nothing is ever narrowed: both counts are at least those of `single-task` with the same options. So the total
is at least the matched model's, and may be above it. When hard sharing with the same options is matched,
nothing grows, since one model per task already has as much of both: the result is `single-task`.
Departures from a paper: none; this is the definition.

Pitfalls: wider models overfit sooner where there are few positives, so that a wide control can be worse
than the narrow one; compare a method with both.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from typing import Any, TypeVar

import torch

from mtlbench.config import fill
from mtlbench.errors import UsageError
from mtlbench.methods import METHODS
from mtlbench.methods.base import InputSpec, Method, NetworkConfig
from mtlbench.methods.single_task import SingleTask
from mtlbench.registry import lookup
from mtlbench.schema import Task

C = TypeVar("C", bound=NetworkConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleTaskWideConfig(NetworkConfig):
    """Options of widened single-task models; `embedding_dim`, `network` and `tower` are the starting sizes.

    Attributes:
        match: the multi-task method whose embedding and layer parameter counts are matched.
        match_options: options of that method; the others take its defaults, which are stored too.
    """

    match: str = "hard-sharing"
    match_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        NetworkConfig.__post_init__(self)
        config = fill(self.matched.Config, self.match_options, f"match_options of {self.match}")
        object.__setattr__(self, "match_options", asdict(config))

    @property
    def matched(self) -> type[Method]:
        """The method to match.

        Raises:
            UsageError: no method has that name, or it is not a multi-task network.
        """
        method: type[Method] = lookup(METHODS, self.match, "method in match:").load()
        if not issubclass(method, Method) or method.per_task:
            raise UsageError(
                f"match = {self.match!r} is not one network for all tasks, so there is no capacity to match; "
                'name one that is, e.g. match = "mmoe".'
            )
        return method


class SingleTaskWide(SingleTask):
    """Single-task models with the widths that `fitted` finds."""

    Config = SingleTaskWideConfig

    @classmethod
    def fitted(cls, config: C, spec: InputSpec, tasks: Sequence[Task]) -> C:
        """Return the config with the smallest widths at which all models together match in size."""
        assert isinstance(config, SingleTaskWideConfig)
        matched = config.matched
        target = fill(matched.Config, config.match_options, "match_options")
        dim = ceil(matched.tables(tasks) * target.embedding_dim / len(tasks))
        config = replace(config, embedding_dim=max(config.embedding_dim, dim))
        wanted = _dense_parameters(matched, spec, tasks, target)

        def reached(widest: int) -> int:
            return len(tasks) * _dense_parameters(cls, spec, tasks[:1], _scaled(config, widest))

        start = _widest(config)
        # Each unit has at least one weight, so that a layer of `wanted` units is enough.
        widths = range(start, start + wanted)
        return _scaled(config, widths[bisect_left(widths, wanted, key=reached)])


def _widest(config: NetworkConfig) -> int:
    return max((*config.network, *config.tower))


def _scaled(config: C, widest: int) -> C:
    """Return the config with all hidden widths scaled so that the widest layer has `widest` units."""
    now = _widest(config)
    network, tower = (tuple(round(w * widest / now) for w in dims) for dims in (config.network, config.tower))
    return replace(config, network=network, tower=tower)


def _dense_parameters(
    method: type[Method], spec: InputSpec, tasks: Sequence[Task], config: NetworkConfig
) -> int:
    """Count the parameters of the layers, without embedding tables; nothing is allocated."""
    with torch.device("meta"):
        return sum(p.numel() for p in method(spec, tasks, config).parameters())
