"""Where files are stored: under `$MTLBENCH_HOME`, else under the working directory."""

import os
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "shipped"  # in a wheel; a checkout has the same files beside the package


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds `datasets/` and `results/`."""

    root: Path

    @classmethod
    def find(cls) -> "Home":
        """Return the home: `$MTLBENCH_HOME` if set, else the working directory."""
        return cls(Path(os.environ.get("MTLBENCH_HOME") or Path.cwd()).resolve())

    @property
    def datasets(self) -> Path:
        """Folder of raw and prepared data, one subfolder per dataset."""
        return self.root / "datasets"

    @property
    def results(self) -> Path:
        """Folder of everything that runs produce."""
        return self.root / "results"

    def raw(self, dataset: str) -> Path:
        """Return the folder that a dataset's raw files are read from and downloaded to."""
        return self.datasets / dataset / "raw"

    def prepared(self, dataset: str) -> Path:
        """Return the folder of a dataset's prepared matrices."""
        return self.datasets / dataset / "prepared"

    def runs(self, dataset: str) -> Path:
        """Return the folder of finished runs, one subfolder per run."""
        return self.results / "runs" / dataset

    def training(self, dataset: str) -> Path:
        """Return the folder of runs in training, one subfolder per run: its lock and its snapshots."""
        return self.results / "runs" / ".training" / dataset

    def failed(self, dataset: str) -> Path:
        """Return the folder of failures, one file per run whose last attempt failed."""
        return self.results / "runs" / ".failed" / dataset

    def asked(self, dataset: str) -> Path:
        """Return the folder of requests, one file per benchmark that was run."""
        return self.results / "runs" / ".asked" / dataset

    def set_aside(self, dataset: str) -> Path:
        """Return the folder for damaged or foreign results, moved away from `runs`."""
        return self.results / "runs" / ".set-aside" / dataset

    def relative(self, path: Path) -> str:
        """Return `path` relative to the home, with forward slashes, as JSON and messages show it."""
        return path.relative_to(self.root).as_posix()


def shipped(*parts: str) -> Path:
    """Return the path of a card or benchmark file that ships with mtlbench, in a wheel or a checkout."""
    base = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
    return base.joinpath(*parts)
