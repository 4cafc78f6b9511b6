"""Results on disk: one folder per finished run, complete or absent, enough to recompute every verdict.

results/runs/<dataset>/<hash>/
    result.json             what ran (the identity that was hashed), metrics, guards, costs, history, versions
    scores.npz              `cluster`, and per task `label/`, `score/`, `score_best/`, in test order
    weights.safetensors     the deployable checkpoint; absent where the models are no networks
    SHA256SUMS              checksums of these files; a folder that does not match them counts as damaged

results/runs/.training/<dataset>/<hash>/    locked by the process that trains the run; its checkpoints
results/runs/.failed/<dataset>/<hash>.json  a run whose last attempt failed: which, why, when
results/runs/.set-aside/<dataset>/          damaged or foreign folders that were in the place of a result
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
        cluster: (rows,) the cluster of each row.
        label: task -> (rows,) float32, NaN where the task is not defined.
        score: task -> (rows,) float32 probability (or value) from the one deployable checkpoint.
        score_best: task -> (rows,) the same from the checkpoint that is best for that task alone.
    """

    cluster: NDArray[np.int64]
    label: Mapping[str, NDArray[np.float32]]
    score: Mapping[str, NDArray[np.float32]]
    score_best: Mapping[str, NDArray[np.float32]]

    def save(self, path: Path) -> None:
        """Write the scores as one compressed `.npz`, without pickle."""
        columns = {"label": self.label, "score": self.score, "score_best": self.score_best}
        arrays = {f"{kind}/{task}": a for kind, tasks in columns.items() for task, a in tasks.items()}
        np.savez_compressed(path, cluster=self.cluster, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Scores":
        """Read scores that `save` wrote.

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
    """One finished run: its folder and the content of its `result.json`."""

    path: Path
    data: Mapping[str, Any]

    @property
    def seed(self) -> int:
        """The training seed, by which methods are paired."""
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
    """Return all intact results below `results`, of one dataset or of all, ordered by folder.

    Raises:
        DataError: there are none.
    """
    found = list(each_result(results, dataset, say))
    if not found:
        of, on = (f" of {dataset!r}", f" --dataset {dataset}") if dataset else ("", "")
        others = sorted({folder.parent.name for folder in (results / "runs").glob("[!.]*/[!.]*/")})
        there = f" (there are some of {', '.join(others)})" if dataset and others else ""
        raise DataError(
            f"No results{of} in {results / 'runs'}{there}. Train first: mtlbench run{on} --method mmoe"
        )
    return found


def each_result(results: Path, dataset: str = "", say: Say = lambda line: None) -> Iterator[Result]:
    """Yield the results that `read_results` returns, possibly none; `say` is told of damaged ones."""
    for folder in sorted((results / "runs").glob(f"{dataset or '[!.]*'}/[!.]*/")):
        if (result := read_result(folder)) is not None:
            yield result
        elif (why := damage(folder)) is not None:
            say(f"{folder} is left out: {why}. The mtlbench run that made it sets it aside and trains anew.")


def read_result(folder: Path) -> Result | None:
    """Return the result in that folder, or None if it has no intact one."""
    if broken(folder, unread=(WEIGHTS,)):
        return None
    data = _read(folder)
    return Result(folder, data) if data.get("format") == FORMAT and not _of_other_data(data) else None


def damage(folder: Path, run: Mapping[str, Any] | None = None) -> str | None:
    """Return why the folder's result cannot be trusted; None if it is intact or the folder is missing.

    Args:
        folder: where the result is.
        run: the identity that the result must have. If None, any run will do, and a result written by
            another version of mtlbench does not count as damaged.
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
    """Return a complaint if the data were prepared anew during training, which was not always refused."""
    found = data.get("fingerprint")
    planned = data.get("run", {}).get("fingerprint", found)
    return "" if found == planned else f"its run was planned for data {planned}, and it is of {found}"


def _read(folder: Path) -> dict[str, Any]:
    """Return the content of `result.json`; empty if it cannot be read."""
    try:
        data = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
