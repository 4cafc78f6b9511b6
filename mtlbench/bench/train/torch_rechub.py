"""torch-rechub, through its own `MTLTrainer` and loaders."""

import tempfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlbench.bench.train.cases import BATCH, LEARNING_RATE, TASKS, Case
from mtlbench.bench.train.side import Model
from mtlbench.load import Prepared, SplitName


class TorchRechub(Model):
    """SharedBottom or MMOE of torch-rechub; for one task, its bottom with one tower."""

    def __init__(
        self, case: Case, prepared: Prepared, device: torch.device, tasks: tuple[int, ...] = (0, 1)
    ) -> None:
        super().__init__(case, prepared, device)
        self._tasks = list(tasks)
        from torch_rechub.basic.features import DenseFeature, SparseFeature
        from torch_rechub.utils.data import DataGenerator

        self._names = [field.name for field in prepared.schema.of_kind("categorical")]
        self._numbers = [field.name for field in prepared.schema.of_kind("numeric")]
        sizes = prepared.vocabularies
        self._features = [
            *(SparseFeature(name, vocab_size=sizes[name], embed_dim=case.dim) for name in self._names),
            *(DenseFeature(name) for name in self._numbers),
        ]
        self._rows: dict[SplitName, Any] = {
            name: self._split(name) for name in ("train", "validation", "test")
        }
        (x, y), (x_val, y_val), (x_test, y_test) = self._rows.values()
        self._loaders = DataGenerator(x, y).generate_dataloader(
            x_val=x_val, y_val=y_val, x_test=x_test, y_test=y_test, batch_size=BATCH
        )

    def _split(self, name: SplitName) -> tuple[dict[str, Any], Any]:
        split = self.prepared.open_split(name)
        columns = {n: np.array(split.categorical[:, i]) for i, n in enumerate(self._names)}
        columns |= {n: np.array(split.numeric[:, i]) for i, n in enumerate(self._numbers)}
        return columns, np.array(split.labels[:, self._tasks])

    def train(self, seed: int) -> None:
        """Train by `MTLTrainer.fit`, which scores validation after the epoch."""
        from torch_rechub.models.multi_task import MMOE, SharedBottom
        from torch_rechub.trainers import MTLTrainer

        torch.manual_seed(seed)
        kinds = ["classification"] * len(self._tasks)
        towers = [{"dims": list(self.case.tower)} for _ in self._tasks]
        body = {"dims": list(self.case.network)}
        if self.case.experts and len(self._tasks) == len(TASKS):
            self._model = MMOE(self._features, kinds, self.case.experts, body, towers)
        else:
            self._model = SharedBottom(self._features, kinds, body, towers)
        with tempfile.TemporaryDirectory() as folder:
            self._trainer = MTLTrainer(
                self._model,
                task_types=kinds,
                optimizer_params={"lr": LEARNING_RATE, "weight_decay": 0.0},
                n_epoch=1,
                device=str(self.device),
                model_path=folder,
            )
            self._trainer.fit(self._loaders[0], self._loaders[1])

    def score(self) -> Tensor:
        """Score by `MTLTrainer.predict`, as in its examples, on a loader without labels."""
        from torch.utils.data import DataLoader
        from torch_rechub.utils.data import PredictDataset

        loader = DataLoader(PredictDataset(self._rows["test"][0]), batch_size=BATCH)
        return torch.tensor(self._trainer.predict(self._model, loader))
