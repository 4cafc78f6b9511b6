"""Results on disk: one folder a finished run, whole or not there, enough to recompute every verdict.

results/runs/<dataset>/<hash>/
    result.json             what ran (the identity that was hashed), metrics, guards, costs, history, versions
    scores.npz              `cluster`, and per task `label/`, `score/`, `score_best/`, in test order
    weights.safetensors     the deployable checkpoint; absent where the models are no networks
    SHA256SUMS              of these files: what does not agree with it is damaged, and not believed

results/runs/.training/<dataset>/<hash>/    held by the process that trains the run; its checkpoints
results/runs/.failed/<dataset>/<hash>.json  a run that failed when it was last tried: which, why, when
results/runs/.set-aside/<dataset>/          what lay in the place of a result and was none
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import DataError
from mtlbench.files import broken

FORMAT = 3
WEIGHTS = "weights.safetensors"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scores:
    """The test split as one run scored it.

    Attributes:
        cluster: (rows,) whose rows belong together.
        label: task -> (rows,) float32, NaN where the task is not defined.
        score: task -> (rows,) float32 probability (or value) from the one deployable checkpoint.
        score_best: task -> (rows,) the same from the checkpoint that is best for that task alone.
    """

    cluster: NDArray[np.int64]
    label: Mapping[str, NDArray[np.float32]]
    score: Mapping[str, NDArray[np.float32]]
    score_best: Mapping[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        """Write them as one compressed `.npz`, without pickle."""
        columns = {"label": self.label, "score": self.score, "score_best": self.score_best}
        arrays = {f"{kind}/{task}": a for kind, tasks in columns.items() for task, a in tasks.items()}
        np.savez_compressed(path, cluster=self.cluster, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Scores":
        """Read them back.

        Raises:
            DataError: the file is missing or damaged.
        """
        kinds: dict[str, dict[str, NDArray[np.float32]]] = {"label": {}, "score": {}, "score_best": {}}
        try:
            with np.load(path, allow_pickle=False) as file:
                for key in file.files:
                    kind, _, task = key.partition("/")
                    if task:
                        kinds[kind][task] = file[key]
                return cls(cluster=file["cluster"], **kinds)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path} cannot be read ({error}). Remove its folder and run again: mtlbench run"
            ) from error


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run: what stands in its `result.json`, and where."""

    path: Path
    data: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The seed, by which methods are paired."""
        return int(self.data["run"]["seed"])

    @property
    def method(self) -> str:
        """The method's registered name."""
        return str(self.data["run"]["method"])

    @property
    def balancer(self) -> str:
        """The balancer's registered name."""
        return str(self.data["run"]["balancer"])

    def scores(self) -> Scores:
        """Read the test scores."""
        return Scores.load(self.path / "scores.npz")


def read_results(results: Path, dataset: str = "", say: Say = lambda line: None) -> list[Result]:
    """All whole results below `results/`, of one dataset or of all, in the order of their folders.

    Raises:
        DataError: there is none.
    """
    found = list(each_result(results, dataset, say))
    if not found:
        of = f" of {dataset!r}" if dataset else ""
        raise DataError(f"No results{of} in {results / 'runs'}. Train first: mtlbench run --method mmoe")
    return found


def each_result(results: Path, dataset: str = "", say: Say = lambda line: None) -> Iterator[Result]:
    """The same one by one, where there may be none; `say` is told of those that are damaged."""
    for folder in sorted((results / "runs").glob(f"{dataset or '[!.]*'}/[!.]*/")):
        if (result := read_result(folder)) is not None:
            yield result
        elif (why := damage(folder)) is not None:
            say(f"{folder} is left out: {why}. The mtlbench run that made it sets it aside and trains anew.")


def read_result(folder: Path) -> Result | None:
    """The result in that folder, or None where there is none that is whole."""
    if broken(folder, unread=(WEIGHTS,)):
        return None
    data = _read(folder)
    return Result(folder, data) if data.get("format") == FORMAT and not _of_other_data(data) else None


def damage(folder: Path, run: Mapping[str, Any] | None = None) -> str | None:
    """Why what lies there is not to be believed; None where it is a whole result, or nothing is there.

    Args:
        folder: of the result.
        run: what ran, if the result must be that of a certain run. Without, a result of another version of
            ours is none, but no damage either.
    """
    if not folder.exists():
        return None
    data = _read(folder)
    if "format" in data and data["format"] != FORMAT:
        return f"it was written by another version (format {data['format']})" if run else None
    if why := broken(folder, unread=(WEIGHTS,)):
        return f"it is damaged: {why}"
    if run is not None and data.get("run") != run:
        return "it is the result of another run"
    return _of_other_data(data) or None


def _of_other_data(data: Mapping[str, Any]) -> str:
    """What to say of a result whose data were prepared anew while it trained: that was not always refused."""
    found = data.get("fingerprint")
    planned = data.get("run", {}).get("fingerprint", found)
    return "" if found == planned else f"its run was planned for data {planned}, and it is of {found}"


def _read(folder: Path) -> dict[str, Any]:
    """What stands in `result.json`; nothing where it cannot be read."""
    try:
        data = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
