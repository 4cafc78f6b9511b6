"""Hierarchical: earlier tasks are predicted at lower layers, which feed those of later tasks.

Soegaard and Goldberg, "Deep multi-task learning with low level tasks supervised at lower layers", ACL 2016.
https://doi.org/10.18653/v1/P16-2038; with the shortcut connections of Hashimoto et al., "A Joint Many-Task
Model: Growing a Neural Network for Multiple NLP Tasks", EMNLP 2017, section 2 (arXiv:1611.01587).

Task t after its parent s, with networks f and towers h:

    v_t = f_t([x, v_s]),    y_t = h_t(v_t);    without a parent v_t = f_t(x)

Losses of later tasks train the layers of earlier ones, never the other way round.

Departs from the papers: networks are MLPs over field embeddings instead of recurrent layers over words; all
tasks are trained on every batch; Hashimoto's label embeddings and successive regularisation are left out; the
order may be a tree; layers are normalised.

It needs only an order of the tasks: a later task may happen without the earlier one, so no rows are counted
or refused, and tasks may be of any kind.

Pitfalls: the order is a choice, and another order is another model. The last task has the deepest network, so
that its gain over single-task may come from depth: compare single-task with a deeper `network`. The first
task receives nothing, yet is moved by the gradients of all that come after it: it has the most to lose.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtlbench.methods import chain
from mtlbench.methods.base import C, Inputs, InputSpec, Method, Needs
from mtlbench.methods.chain import FunnelConfig
from mtlbench.methods.features import Features
from mtlbench.methods.layers import mlp
from mtlbench.schema import Task


class Hierarchical(Method):
    """One network and tower per task, each network above that of its parent task."""

    Config = FunnelConfig
    needs = Needs(fewest=2)

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: FunnelConfig) -> None:
        super().__init__(spec, tasks, config)
        self.parents = chain.links(tasks, config.chain)
        self.features = Features(spec, config)
        alone, width = self.features.width, config.network[-1]
        self.networks = nn.ModuleDict(
            {k: mlp(alone + width * (k in self.parents), config.network, config) for k in self.tasks}
        )
        self.towers = nn.ModuleDict({k: mlp(width, config.tower, config, outputs=1) for k in self.tasks})

    @classmethod
    def links(cls, config: C, tasks: Sequence[Task]) -> dict[str, str]:
        """Return no links, since only the order matters; refuse a chain that names unknown tasks."""
        assert isinstance(config, FunnelConfig)
        chain.links(tasks, config.chain)
        return {}

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to one output per task, each (batch, 1)."""
        x = self.features(inputs)
        hidden = {k: network(x) for k, network in self.networks.items() if k not in self.parents}
        for child, parent in self.parents.items():
            hidden[child] = self.networks[child](torch.cat([x, hidden[parent]], dim=1))
        return {task: tower(hidden[task]) for task, tower in self.towers.items()}
