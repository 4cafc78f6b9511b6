"""deepctr-torch, through its own `fit` and `predict`."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlbench.bench.train.cases import BATCH, LEARNING_RATE, TASKS, Case
from mtlbench.bench.train.side import Model
from mtlbench.load import Prepared, SplitName


class DeepctrTorch(Model):
    """SharedBottom or MMOE of deepctr-torch; for one task, the deep part of its WDL."""

    def __init__(
        self, case: Case, prepared: Prepared, device: torch.device, tasks: tuple[int, ...] = (0, 1)
    ) -> None:
        super().__init__(case, prepared, device)
        self._tasks = list(tasks)
        from deepctr_torch.inputs import DenseFeat, SparseFeat

        sparse = [field.name for field in prepared.schema.of_kind("categorical")]
        dense = [field.name for field in prepared.schema.of_kind("numeric")]
        sizes = prepared.vocabularies
        self._columns = [
            *(SparseFeat(name, vocabulary_size=sizes[name], embedding_dim=case.dim) for name in sparse),
            *(DenseFeat(name, 1) for name in dense),
        ]
        self._names = sparse, dense

    def _split(self, name: SplitName) -> tuple[dict[str, Any], Any]:
        split = self.prepared.open_split(name)
        sparse, dense = self._names
        columns = {n: np.array(split.categorical[:, i]) for i, n in enumerate(sparse)}
        columns |= {n: np.array(split.numeric[:, i]) for i, n in enumerate(dense)}
        return columns, np.array(split.labels[:, self._tasks])

    def train(self, seed: int) -> None:
        """Train by `fit`, with validation after the epoch."""
        from deepctr_torch.models import WDL
        from deepctr_torch.models.multitask import MMOE, SharedBottom

        case, several = self.case, len(self._tasks) == len(TASKS)
        usual: dict[str, Any] = {"seed": seed, "device": str(self.device), "l2_reg_embedding": 0}
        usual |= {"l2_reg_linear": 0, "l2_reg_dnn": 0, "dnn_use_bn": True}
        both = {"task_types": ["binary"] * 2, "task_names": list(TASKS), "tower_dnn_hidden_units": case.tower}
        if not several:
            hidden = (*case.network, *case.tower)
            self._model = WDL([], self._columns, dnn_hidden_units=hidden, **usual)
        elif case.experts:
            self._model = MMOE(
                self._columns,
                num_experts=case.experts,
                expert_dnn_hidden_units=case.network,
                gate_dnn_hidden_units=(),
                **both,
                **usual,
            )
        else:
            self._model = SharedBottom(self._columns, bottom_dnn_hidden_units=case.network, **both, **usual)
        adam = torch.optim.Adam(self._model.parameters(), lr=LEARNING_RATE)
        loss: Any = ["binary_crossentropy"] * 2 if several else "binary_crossentropy"
        self._model.compile(adam, loss, metrics=["auc"] if not several else None)
        x, y = self._split("train")
        self._model.fit(
            x, y, batch_size=BATCH, epochs=1, verbose=0, validation_data=self._split("validation")
        )

    def score(self) -> Tensor:
        """Score by `predict`."""
        return torch.from_numpy(self._model.predict(self._split("test")[0], BATCH))
