"""Snapshots of a stack in training, from which training resumes as if it had never been interrupted.

A snapshot holds everything that the next step depends on and that does not follow from seed and step:
weights, the optimiser's moments, the balancer's memory, the checkpoints so far. The order of rows, dropout
masks and the rows of a probe are drawn again. On the same machine the numbers are the same to the last bit.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mtlbench.balancing.base import Balancer
from mtlbench.devices import processor
from mtlbench.files import atomic_folder, broken, seal, write_json
from mtlbench.train.optimiser import StackedAdam
from mtlbench.train.stack import Stack
from mtlbench.train.trained import Trained

SECONDS = 60.0
"""Seconds between two snapshots; a shorter training writes none, and pays nothing for them."""
EVERY = "MTLBENCH_SNAPSHOT_SECONDS"
"""Environment variable that overrides `SECONDS`."""


@dataclass(slots=True)
class Training:
    """Everything that changes while a stack trains.

    Attributes:
        outcomes: outcome of every replica, including those that have stopped.
        patience: evaluations without improvement after which a criterion is settled.
    """

    stack: Stack
    optimiser: StackedAdam
    balancer: Balancer
    outcomes: list[Trained]
    patience: int

    @property
    def going(self) -> list[Trained]:
        """Outcomes of the replicas that have not stopped, in the order of the stack."""
        return [o for o in self.outcomes if o.failure is None and not o.all_settled(self.patience)]

    def keep(self, positions: Sequence[int]) -> None:
        """Keep only these replicas in the stack."""
        self.optimiser.keep(positions)
        self.balancer.keep(torch.tensor(positions))

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name, as `restore` takes them; the stack's only until all have stopped."""
        found = _under("outcome", {str(i): o.tensors() for i, o in enumerate(self.outcomes)})
        if self.going:
            members = range(len(self.stack.replicas))
            found |= _under("weights", {str(i): self.stack.weights(i) for i in members})
            found |= _under("state", {"adam": self.optimiser.state(), "balancer": self.balancer.state()})
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}

    def restore(self, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Restore the output of `plain` and `tensors`."""
        for i, stored in enumerate(plain["outcomes"]):
            replica = self.outcomes[i].replica
            self.outcomes[i] = Trained.restored(replica, stored, _below(tensors, f"outcome/{i}"))
        going = {id(outcome) for outcome in self.going}
        kept = [i for i, outcome in enumerate(self.outcomes) if id(outcome) in going]
        if not kept:
            return
        self.keep(kept)
        self.stack.load([_below(tensors, f"weights/{i}") for i in range(len(kept))])
        self.optimiser.restore(_below(tensors, "state/adam"))
        self.balancer.restore(_below(tensors, "state/balancer"), self.stack.device)

    def plain(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON."""
        return {"outcomes": [outcome.plain() for outcome in self.outcomes]}


class Snapshots:
    """The snapshots of one stack: only the newest is kept, and the newest intact one is resumed.

    Args:
        folder: a folder used for nothing else; None keeps no snapshots.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._seconds = float(os.environ.get(EVERY, SECONDS))
        self._last = time.monotonic()

    def resume(self, training: Training) -> int:
        """Restore the newest intact snapshot made on this kind of machine; return its step, or 0 if none."""
        self._last = time.monotonic()
        for folder in self._stored():
            if broken(folder):
                continue  # the disk lost part of it; try an older one
            plain = json.loads((folder / "plain.json").read_text(encoding="utf-8"))
            if plain["made_on"] == _machine(training.stack.device):
                training.restore(plain, load_file(folder / "tensors.safetensors"))
                return int(plain["step"])
        return 0

    def save_if_due(self, training: Training, step: int) -> None:
        """Write a snapshot if enough time has passed since the last, then remove older ones.

        If it cannot be written, for example on a full disk, training goes on without it.
        """
        if self._folder is None or time.monotonic() - self._last < self._seconds:
            return
        target, made_on = self._folder / f"{step:09}", _machine(training.stack.device)
        try:
            with atomic_folder(target) as folder:
                save_file(training.tensors(), folder / "tensors.safetensors")
                write_json(folder / "plain.json", {"step": step, "made_on": made_on, **training.plain()})
                seal(folder)
        except (OSError, SafetensorError):
            return
        finally:
            self._last = time.monotonic()
        for old in self._stored():
            if old != target:
                shutil.rmtree(old, ignore_errors=True)

    def _stored(self) -> list[Path]:
        """Return the folders of stored snapshots, newest first."""
        return sorted(self._folder.glob("[!.]*"), reverse=True) if self._folder else []


def _machine(device: torch.device) -> list[str]:
    """Return what numbers depend on apart from the run: torch's version and the GPU or processor."""
    if device.type == "cuda":
        return [torch.__version__, torch.cuda.get_device_name(device)]
    return [torch.__version__, processor(), torch.backends.cpu.get_cpu_capability()]


def _under(prefix: str, groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{prefix}/{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    cut = f"{prefix}/"
    return {name.removeprefix(cut): tensor for name, tensor in tensors.items() if name.startswith(cut)}
