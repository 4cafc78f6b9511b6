"""ESMM: Entire Space Multi-task Model.

Ma et al., "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate",
SIGIR 2018, section 2.3. https://doi.org/10.1145/3209978.3210104 (arXiv:1804.07931)

With click y, conversion z, and one network with tower per task over shared embeddings:

    pCTR = sigmoid(h^1(f^1(x)))    pCVR = sigmoid(h^2(f^2(x)))    pCTCVR = pCTR pCVR
    L = sum_i l(y_i, pCTR_i) + l(y_i z_i, pCTCVR_i)

pCVR, the probability given a click, is never fitted on clicked rows alone: it is the factor by which pCTR
must be multiplied to explain conversions on all rows. The output of a task with a parent is the logit of the
product, taken in log space, so that its prediction is P(task) = P(parent) P(task | parent).

Departs from the paper: the tasks may be a longer chain or a tree, with products up to the root, and a task
outside it has a tower of its own, even where its label is the conditional of a link (as `cvr` beside `ctr`
and `ctcvr`): its score is not pCVR; a loss is a mean over the rows where its task is defined, where a child
without a label counts as 0 if its parent is 0, and the balancer weights the losses; networks are the tool's
small ones (the paper: 360-200-80 over embeddings of 18), their layers are normalised, and all tasks start
from the same weights, as in embedding-sharing, which is ESMM without the products.

Pitfalls: P(task | parent) is estimated too high on average (Wang et al. 2022, the reason for escm2-ips), and
nothing constrains it where parents are rare, since there any value explains the data. A child that happens
without its parent contradicts the model; such rows are counted before training, and a child with labels only
on rows of its parent is refused, since its score would rank by P(task | parent). The gradient of a child's
loss reaches the networks of all tasks above it, so that a rare child with a large weight spoils its parent.
"""

from collections.abc import Sequence

from torch import Tensor

from mtlbench.methods import chain
from mtlbench.methods.base import C, Inputs, InputSpec, Needs
from mtlbench.methods.chain import FunnelConfig
from mtlbench.methods.embedding_sharing import EmbeddingSharing
from mtlbench.schema import Task


class ESMM(EmbeddingSharing):
    """Embedding sharing whose probabilities are multiplied along the chain."""

    Config = FunnelConfig
    needs = Needs(fewest=2, kinds=("binary",), chain=True)
    revision = 2

    def __init__(self, spec: InputSpec, tasks: Sequence[Task], config: FunnelConfig) -> None:
        super().__init__(spec, tasks, config)
        self.parents = self.links(config, tasks)

    @classmethod
    def links(cls, config: C, tasks: Sequence[Task]) -> dict[str, str]:
        """Return the chain of the config, or the one that the tasks declare."""
        assert isinstance(config, FunnelConfig)
        return chain.links(tasks, config.chain)

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Map the embedded fields to the logit of each task's probability on all rows, each (batch, 1)."""
        return self.multiplied(super().forward(inputs))

    def losses(self, outputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return cross-entropies on all rows: where the parent did not happen, neither did the child."""
        return super().losses(outputs, chain.filled(labels, self.tasks, self.parents))

    def multiplied(self, logits: dict[str, Tensor]) -> dict[str, Tensor]:
        """Map each task's logit given its parent to its logit on all rows."""
        outputs = dict(logits)
        for child, parent in self.parents.items():
            outputs[child] = chain.both(outputs[parent], logits[child])
        return outputs
